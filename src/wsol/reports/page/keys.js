'use strict';
// Keyboard shortcuts of grid and viewer.
(function (wsol) {
  const { element: el } = wsol;

  const KEYS = [
    ['\u2190 \u2191 \u2192 \u2193', 'select another image'],
    ['Enter', 'open the image'],
    ['Esc', 'close the image'],
    ['a', 'accept, and select the next image'],
    ['r', 'reject, and select the next image'],
    ['z', 'undo'],
    ['h', 'heat map on or off'],
    ['Home End', 'first and last image'],
    ['?', 'show this list'],
  ];

  wsol.keyHelp = function () {
    const dialog = el('dialog', { class: 'help', 'aria-labelledby': 'help-title' },
      el('h2', { id: 'help-title' }, 'Keys'),
      el('dl', {}, ...KEYS.flatMap(([key, what]) => [
        el('dt', {}, ...key.split(' ').map((one) => el('kbd', {}, one))), el('dd', {}, what),
      ])),
      el('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, 'Close'));
    return dialog;
  };

  const takesText = (target) => target.closest('select, textarea, input:not([type=range]):not([type=checkbox])');
  const takesArrows = (target) => target.closest('input[type=range], input[type=radio]');
  const takesEnter = (target) => target.closest('button, a, summary, input');

  wsol.listenToKeys = function (view) {
    const acts = {
      a: () => view.decideAndGoOn('accepted'),
      r: () => view.decideAndGoOn('rejected'),
      z: () => view.undo(),
      h: () => view.set({ heat: !view.state.heat }),
      '?': () => view.help.showModal(),
    };
    const moves = {
      ArrowLeft: () => view.step(-1),
      ArrowRight: () => view.step(1),
      ArrowUp: () => view.step(-view.across()),
      ArrowDown: () => view.step(view.across()),
      Home: () => view.step(-Infinity),
      End: () => view.step(Infinity),
    };

    document.addEventListener('keydown', (event) => {
      const { key, target } = event;
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (view.help.open || !(target instanceof Element) || takesText(target)) return;
      let act = acts[key];
      if (moves[key] && !takesArrows(target)) act = moves[key];
      if (key === 'Enter' && !takesEnter(target) && !view.viewer.isOpen) act = () => view.open(view.selected);
      if (!act) return;
      event.preventDefault();
      act();
    });
  };
})(globalThis.wsol ??= {});
