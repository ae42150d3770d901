'use strict';
// Toolbar with threshold, heat map, filters, sort order and download.
(function (wsol) {
  const { element: el } = wsol;

  function slider(label, attributes, action) {
    const input = el('input', { type: 'range', ...attributes });
    const output = el('span', { class: 'value' });
    input.addEventListener('input', () => action(Number(input.value)));
    return { input, output, element: el('label', { class: 'slider' },
      label ? el('span', {}, label) : null, input, output) };
  }

  function choice(label, options, action) {
    const select = el('select', { 'aria-label': label, onchange: () => action(select.value) },
      ...options.map(([value, text]) => el('option', { value }, text)));
    return { select, element: el('label', { class: 'field' }, el('span', {}, label), select) };
  }

  function range(label, action) {
    const limit = (name, value) => el('input', {
      type: 'number', min: 0, max: 100, step: 1, value, inputmode: 'numeric', 'aria-label': `${label}, ${name}, percent`,
    });
    const [least, most] = [limit('from', 0), limit('to', 100)];
    const tell = () => action((Number(least.value) || 0) / 100,
      most.value === '' ? 1 : Number(most.value) / 100);
    least.addEventListener('input', tell);
    most.addEventListener('input', tell);
    return {
      element: el('div', { class: 'field range', role: 'group', 'aria-label': label },
        el('span', {}, `${label}, %`), el('div', {}, least, '\u2013', most)),
      reset() { least.value = 0; most.value = 100; },
    };
  }

  wsol.Toolbar = class {
    constructor(view) {
      this.view = view;
      this.all = [];
      this.count = el('p', { class: 'count', role: 'status', 'aria-live': 'polite' });
      this.decided = el('span', { class: 'decided' });
      this.save = el('button', { type: 'button', class: 'primary', onclick: () => view.save() },
        wsol.icon('save'), this.saved = el('span', {}));
      this.heat = el('button', { type: 'button', class: 'switch', 'aria-pressed': 'true',
        onclick: () => view.set({ heat: !view.state.heat }) }, 'Heat');
      this.filterButton = el('button', { type: 'button', class: 'plain', 'aria-expanded': 'false',
        'aria-controls': 'filters', onclick: () => this.toggleFilters() }, wsol.icon('filter'), 'Filters');
      this.order = choice('Sort', this.orders(), (order) => view.set({ order }));
      this.order.element.classList.add('order');
      this.panel = this.filters();
      this.own = el('div', { class: 'own-controls' });
      this.element = el('div', { class: 'toolbar' },
        el('div', { class: 'main' }, this.sliders('bar', this.heat), el('span', { class: 'push' }),
          this.filterButton, this.order.element, this.own,
          this.save),
        this.panel);
    }

    orders() {
      const { ground_truth: hasGroundTruth } = this.view.about;
      return [
        ['worst', hasGroundTruth ? 'worst first (IoU)' : 'lowest box score first'],
        ...(hasGroundTruth ? [['best', 'best first (IoU)']] : []),
        ['high', 'highest score'], ['low', 'lowest score'], ['name', 'name'], ['given', 'as predicted'],
      ];
    }

    height() {
      return getComputedStyle(this.element).position === 'sticky' ? this.element.offsetHeight : 0;
    }

    // Returns sliders for threshold and opacity, which follow the state of the view.
    sliders(where, heat) {
      const { view } = this;
      const threshold = slider('Threshold', { min: 0, max: 0.99, step: 0.01, class: 'threshold' },
        (value) => view.moveThreshold(value));
      const opacity = slider(heat ? '' : 'Heat', { 'aria-label': 'Opacity of the heat map', min: 0, max: 1, step: 0.05, class: 'opacity' },
        (value) => view.set({ opacity: value }));
      const back = el('button', { type: 'button', class: 'back', onclick: () => view.set({ threshold: null }) },
        'as predicted');
      
      this.all.push({ threshold, opacity, back });
      return el('div', { class: `sliders ${where}` },
        el('div', { class: 'threshold-group' }, threshold.element, back),
        el('div', { class: 'heat-group' }, heat, opacity.element));
    }

    filters() {
      const { view } = this;
      const set = (change) => view.set({ filter: { ...view.state.filter, ...change } });
      const { ground_truth: hasGroundTruth } = view.about;
      this.search = el('input', { type: 'search', 'aria-label': 'Name', placeholder: 'part of a name', autocomplete: 'off',
        oninput: () => set({ text: this.search.value }) });
      this.classes = choice('Class', [['', 'any']], (className) => set({ className }));
      this.verdict = choice('Result', [['', 'any'], ['right', 'correct'], ['wrong', 'wrong'],
        ['box', 'wrong box'], ['class', 'wrong class']], (verdict) => set({ verdict }));
      this.status = choice('Status', [['', 'any'], ['ok', 'with box'], ['no_object', 'no object'],
        ['error', 'unreadable']], (status) => set({ status }));
      this.decision = choice('Decision', [['', 'any'], ['open', 'open'], ['accepted', 'accepted'],
        ['rejected', 'rejected']], (decision) => set({ decision }));
      this.score = range('Score', (leastScore, mostScore) => set({ leastScore, mostScore }));
      this.iou = range('IoU', (leastIou, mostIou) => set({ leastIou, mostIou }));
      return el('div', { class: 'filters', id: 'filters', hidden: true },
        el('label', { class: 'field' }, el('span', {}, 'Name'), this.search),
        this.classes.element, this.status.element,
        ...(hasGroundTruth ? [this.verdict.element] : []), this.decision.element,
        this.score.element, ...(hasGroundTruth ? [this.iou.element] : []),
        el('button', { type: 'button', class: 'plain', onclick: () => this.reset() }, 'Reset'),
        el('p', { class: 'note' }, 'Filters and sort order use the predicted boxes, not those at the threshold of the slider.'));
    }

    toggleFilters() {
      this.panel.hidden = !this.panel.hidden;
      this.filterButton.setAttribute('aria-expanded', String(!this.panel.hidden));
      if (!this.panel.hidden) this.search.focus();
    }

    reset() {
      for (const { select } of [this.classes, this.verdict, this.status, this.decision]) select.value = '';
      this.search.value = '';
      this.score.reset();
      this.iou.reset();
      this.view.set({ filter: wsol.NO_FILTER });
    }

    // Lists the classes of the rows, with the number of images of each.
    listClasses() {
      const { view } = this;
      const counts = new Map();
      for (const row of view.rows) {
        for (const name of wsol.classNames(row, view.about)) counts.set(name, (counts.get(name) || 0) + 1);
      }
      const names = [...counts.keys()].sort((a, b) => a.localeCompare(b));
      const chosen = this.classes.select.value;
      this.classes.select.replaceChildren(el('option', { value: '' }, 'any'),
        ...names.map((name) => el('option', { value: name }, `${name} (${counts.get(name)})`)));
      this.classes.select.value = counts.has(chosen) ? chosen : '';
    }

    follow() {
      const { view } = this;
      const { state, about } = view;
      const shown = state.threshold ?? about.threshold;
      for (const { threshold, opacity, back } of this.all) {
        threshold.input.value = shown;
        threshold.output.textContent = String(Math.round(shown * 1000) / 1000);
        threshold.input.setAttribute('aria-valuetext',
          `${threshold.output.textContent}${state.threshold === null ? ', as predicted' : ''}`);
        back.disabled = state.threshold === null;
        opacity.input.value = state.opacity;
        opacity.output.textContent = `${Math.round(state.opacity * 100)}`;
        opacity.input.disabled = !state.heat;
      }
      this.heat.setAttribute('aria-pressed', String(state.heat));
    }

    tell() {
      const { view } = this;
      const { accepted, rejected } = view.decisions.count(view.rows);
      this.decided.replaceChildren(
        el('span', { class: 'accepted' }, wsol.icon('accept'), `${wsol.count(accepted)} accepted`),
        el('span', { class: 'rejected' }, wsol.icon('reject'), `${wsol.count(rejected)} rejected`));
      this.save.disabled = !accepted;
      this.saved.textContent = accepted ? `${wsol.count(accepted)} accepted as COCO` : 'Accepted as COCO';
      this.decided.hidden = !accepted && !rejected;
      const [some, all] = [view.order.length, view.rows.length];
      const of = some === all ? '' : `${wsol.count(some)} of `;
      const text = `${of}${wsol.count(all)} image${all === 1 ? '' : 's'}`;
      if (this.count.textContent !== text) this.count.textContent = text;
      this.filterButton.classList.toggle('active', some !== all);
    }
  };
})(globalThis.wsol ??= {});
