'use strict';
// Creates elements. Data is inserted as text nodes and attributes, never as markup.
(function (wsol) {
  const SVG = 'http://www.w3.org/2000/svg';

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, '');
      else if (value !== false && value !== null && value !== undefined) {
        element.setAttribute(name, value);
      }
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  wsol.element = (tag, attributes, ...children) =>
    fill(document.createElement(tag), attributes, children);
  wsol.svg = (tag, attributes, ...children) =>
    fill(document.createElementNS(SVG, tag), attributes, children);

  const ICONS = {
    accept: 'M5 12.5l4.5 4.5L19 7.5',
    reject: 'M6 6l12 12M18 6L6 18',
    undo: 'M9 7L4 12l5 5M4 12h10a6 6 0 0 1 0 12',
    left: 'M15 5l-7 7 7 7',
    right: 'M9 5l7 7-7 7',
    close: 'M6 6l12 12M18 6L6 18',
    theme: 'M12 3a9 9 0 1 0 9 9 7 7 0 0 1-9-9z',
    keys: 'M4 7h16v10H4zM7 10h0M11 10h0M15 10h0M8 14h8',
    save: 'M12 4v11M7 11l5 5 5-5M5 20h14',
    filter: 'M4 6h16M7 12h10M10 18h4',
  };

  wsol.icon = (name) => wsol.svg(
    'svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' },
    wsol.svg('path', { d: ICONS[name] }),
  );

  wsol.percent = (share) => `${(share * 100).toFixed(share >= 0.9995 || share === 0 ? 0 : 1)}\u202f%`;
  wsol.count = (number) => number.toLocaleString('en');
})(globalThis.wsol ??= {});
