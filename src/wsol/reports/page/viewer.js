'use strict';
// Viewer of one image: prediction next to ground truth, if known, with details.
(function (wsol) {
  const { element: el } = wsol;
  // Maximum milliseconds between the clicks of a double click.
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
      this.predicted = new wsol.Image(view, { predicted: true, groundTruth: true }, 6);
      this.groundTruth = new wsol.Image(view, { predicted: false, groundTruth: true }, 1);
      this.title = el('h2', { id: 'viewer-title' });
      this.place = el('span', { class: 'quiet' });
      this.facts = el('dl', { class: 'list' });
      // Controls of the host; shown(row) is called for each shown image and each decision.
      this.own = el('div', { class: 'own-controls' });
      this.shown = () => {};
      this.accept = el('button', { type: 'button', class: 'accept',
        onclick: () => this.press('accepted') }, wsol.icon('accept'), 'Accept', el('kbd', {}, 'a'));
      this.reject = el('button', { type: 'button', class: 'reject',
        onclick: () => this.press('rejected') }, wsol.icon('reject'), 'Reject', el('kbd', {}, 'r'));
      this.beside = el('figure', {}, this.groundTruth.element,
        el('figcaption', {}, el('span', { class: 'key true' }), 'Ground truth'));
      this.sides = el('div', { class: 'sides' },
        el('figure', {}, this.predicted.element,
          el('figcaption', {}, el('span', { class: 'key predicted' }), 'Predicted',
            this.also = el('span', { class: 'also' }, el('span', { class: 'key true' }), 'Ground truth'))),
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
      // A double click on the selected card opens the viewer at its first click; ignore the second.
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
      const hasGroundTruth = Boolean(row.ground_truth && row.ground_truth.boxes.length && row.width);
      this.row = row;
      this.title.textContent = row.name;
      this.beside.hidden = !hasGroundTruth;
      this.also.hidden = !hasGroundTruth;
      this.sides.classList.toggle('pair', hasGroundTruth);
      this.predicted.show(row);
      if (hasGroundTruth) this.groundTruth.show(row);
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
      for (const image of [this.predicted, this.groundTruth]) {
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
      if (row.status === 'error') facts.push(...fact('Unreadable', row.error || ''));
      else {
        facts.push(...fact('Class', about.classes[row.label] ?? '\u2013',
          el('span', { class: 'number' }, wsol.percent(row.score))));
        if (row.ground_truth) facts.push(...fact('Ground-truth class', row.ground_truth.classes.join(', ')));
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
          facts.push(...fact('Threshold', `${level}, stored as ${kept.what}`));
        }
        if (row.error) facts.push(...fact('Image', row.error));
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
