'use strict';
// One image large: predicted beside true where truth is known, with all that is known of it.
(function (wsol) {
  const { element: el } = wsol;
  // Milliseconds within which two clicks are one double click.
  const DOUBLE = 600;

  const button = (icon, label, action, attributes) => el('button', {
    type: 'button', onclick: action, title: label, 'aria-label': label, ...attributes,
  }, wsol.icon(icon));

  function fact(name, ...value) {
    return [el('dt', {}, name), el('dd', {}, ...value)];
  }

  wsol.Viewer = class {
    constructor(view) {
      this.view = view;
      this.predicted = new wsol.Image(view, { predicted: true, truth: true }, 6);
      this.truth = new wsol.Image(view, { predicted: false, truth: true }, 1);
      this.title = el('h2', { id: 'viewer-title' });
      this.place = el('span', { class: 'quiet' });
      this.facts = el('dl', { class: 'list' });
      // What the host of a page adds of its own; shown(row) is called with each image and decision.
      this.own = el('div', { class: 'own-controls' });
      this.shown = () => {};
      this.accept = el('button', { type: 'button', class: 'accept',
        onclick: () => this.press('accepted') }, wsol.icon('accept'), 'Accept', el('kbd', {}, 'a'));
      this.reject = el('button', { type: 'button', class: 'reject',
        onclick: () => this.press('rejected') }, wsol.icon('reject'), 'Reject', el('kbd', {}, 'r'));
      this.beside = el('figure', {}, this.truth.element,
        el('figcaption', {}, el('span', { class: 'key true' }), 'True'));
      this.sides = el('div', { class: 'sides' },
        el('figure', {}, this.predicted.element,
          el('figcaption', {}, el('span', { class: 'key predicted' }), 'Predicted',
            this.also = el('span', { class: 'also' }, el('span', { class: 'key true' }), 'True'))),
        this.beside);
      this.element = el('dialog', { class: 'viewer', tabindex: '-1', 'aria-labelledby': 'viewer-title' },
        el('header', {},
          el('div', { class: 'heading' }, this.title, this.place),
          button('left', 'Previous image', () => view.step(-1)),
          button('right', 'Next image', () => view.step(1)),
          button('close', 'Close', () => this.element.close())),
        el('div', { class: 'body' }, this.sides,
          el('aside', {},
            el('div', { class: 'deciding' }, this.accept, this.reject,
              button('undo', 'Undo (z)', () => view.undo())),
            view.toolbar.sliders('large'),
            this.own, this.facts)));
      this.element.addEventListener('close', () => view.closed());
      // A double click on the selected card opens this at its first click; the second is not for here.
      this.element.addEventListener('click', (event) => {
        if (event.detail > 1 && performance.now() - this.opened < DOUBLE) event.stopPropagation();
      }, { capture: true });
      new ResizeObserver(() => this.fit()).observe(this.sides);
    }

    get isOpen() {
      return this.element.open;
    }

    press(what) {
      const { view } = this;
      view.decide(view.decisions.of(view.selected) === what ? '' : what);
    }

    show(row) {
      const hasTruth = Boolean(row.truth && row.truth.boxes.length && row.width);
      this.row = row;
      this.title.textContent = row.name;
      this.beside.hidden = !hasTruth;
      this.also.hidden = !hasTruth;
      this.sides.classList.toggle('pair', hasTruth);
      this.predicted.show(row);
      if (hasTruth) this.truth.show(row);
      if (!this.isOpen) {
        this.element.showModal();
        this.opened = performance.now();
        this.element.focus();
      }
      this.fit();
      this.tell();
      this.mark();
    }

    fit() {
      if (!this.row || !this.isOpen) return;
      for (const image of [this.predicted, this.truth]) {
        const { clientWidth, clientHeight } = image.element;
        if (image.row && clientWidth) image.fit(clientWidth, clientHeight);
      }
    }

    draw() {
      if (!this.isOpen) return;
      this.predicted.draw();
      this.tell();
    }

    tell() {
      const { row, view } = this;
      const { about } = view;
      const rows = view.order.length;
      const place = view.order.indexOf(row);
      this.place.textContent = place < 0 ? '' : `${wsol.count(place + 1)} of ${wsol.count(rows)}`;
      const facts = [];
      if (row.status === 'error') facts.push(...fact('Not readable', row.error || ''));
      else {
        facts.push(...fact('Class', about.classes[row.label] ?? '\u2013',
          el('span', { class: 'number' }, wsol.percent(row.score))));
        if (row.truth) facts.push(...fact('True class', row.truth.classes.join(', ')));
        const iou = wsol.bestIou(row, this.predicted.found);
        if (iou !== null) {
          facts.push(...fact('IoU', el('span', { class: `fit ${wsol.isRightBox(iou) ? 'right' : ''}` },
            wsol.percent(iou))));
        }
        facts.push(...fact('Size', `${row.width} \u00d7 ${row.height}`));
        facts.push(...fact('Boxes', this.list()));
        const kept = view.decisions.kept(row);
        if (kept) {
          const level = kept.threshold === null ? 'as predicted' : Math.round(kept.threshold * 1000) / 1000;
          facts.push(...fact('Threshold', `${level}, kept as ${kept.what}`));
        }
        if (row.error) facts.push(...fact('Photograph', row.error));
      }
      this.facts.replaceChildren(...facts);
    }

    list() {
      const { row, view } = this;
      const found = this.predicted.found;
      if (!found.length) return 'none';
      const many = found.length > 1 || found.some(({ label }) => label !== row.label);
      return el('ol', { class: 'boxes' }, ...found.map(({ box, score, label }) => el('li', {},
        many ? `${view.about.classes[label] ?? ''} ` : '',
        el('span', { class: 'number' }, wsol.percent(score)),
        el('span', { class: 'corners' }, box.map((edge) => edge.toFixed(1)).join(' \u2009 ')))));
    }

    mark() {
      const decision = this.view.decisions.of(this.row);
      this.accept.setAttribute('aria-pressed', String(decision === 'accepted'));
      this.reject.setAttribute('aria-pressed', String(decision === 'rejected'));
      this.element.dataset.decision = decision;
      this.shown(this.row);
    }
  };
})(globalThis.wsol ??= {});
