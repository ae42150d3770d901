'use strict';
// View of the page: its state, and updates after changes.
(function (wsol) {
  const { element: el } = wsol;
  const THEME = 'wsol:theme';
  const THEMES = ['auto', 'light', 'dark'];
  const STEPS = 100;

  class View {
    constructor(source) {
      this.source = source;
      this.about = source.about;
      this.rows = [];
      this.keys = 0;
      this.order = [];
      this.selected = null;
      this.maps = new Map();
      this.decisions = new wsol.Decisions(this.about.id, (row) => (
        { threshold: this.thresholdOf(row), boxes: this.boxesNow(row) }));
      this.state = {
        threshold: null, opacity: 0.55, heat: true, order: 'worst', filter: wsol.NO_FILTER,
      };
      this.build();
      this.setTheme(wsol.remembered(THEME).theme || 'auto');
      this.toolbar.follow();
      this.chart.follow(this.about.threshold);
      this.add(source.rows);
      wsol.listenToKeys(this);
    }

    build() {
      const { about } = this;
      this.chart = wsol.chart(about);
      this.toolbar = new wsol.Toolbar(this);
      this.grid = new wsol.Grid(this);
      this.viewer = new wsol.Viewer(this);
      this.help = wsol.keyHelp();
      this.said = el('p', { class: 'said', 'aria-live': 'polite' });
      this.theme = el('button', { type: 'button', class: 'plain', onclick: () => this.nextTheme() });
      this.legend = el('p', { class: 'legend' },
        el('span', { class: 'key predicted' }), 'predicted',
        ...(about.ground_truth ? [el('span', { class: 'key true' }), 'ground truth'] : []));
      // Controls of the host, above the summary.
      this.header = el('div', { class: 'host' });
      document.body.replaceChildren(
        el('a', { class: 'skip', href: '#images' }, 'Skip to the images'),
        el('header', { class: 'top' },
          el('div', {}, el('h1', {}, 'wsol', el('span', {}, ' report')),
            el('p', { class: 'model' }, about.model)),
          el('div', { class: 'corner' }, this.theme,
            el('button', { type: 'button', class: 'plain', 'aria-label': 'Keys', title: 'Keys (?)',
              onclick: () => this.help.showModal() }, wsol.icon('keys'), 'Keys'))),
        this.header,
        el('section', { class: 'summary', 'aria-label': 'Summary' },
          wsol.summary(about, this.source.rows), this.chart.element),
        this.toolbar.element,
        el('main', {},
          el('div', { class: 'line' }, this.toolbar.count, this.toolbar.decided, this.legend), this.grid.section,
          this.hint()),
        this.viewer.element, this.help, this.said);
    }

    hint() {
      return el('footer', { class: 'note' },
        `At the threshold of the prediction (${this.about.threshold}), boxes are the predicted ones, `
        + 'from the full-size heat map. At other thresholds, this page computes boxes from a small '
        + 'heat map, by the same rules. '
        + 'The boxes of a decided image do not change until the decision is undone. '
        + `wsol ${this.about.version || ''}`);
    }

    // Adds rows, such as those of the source, or of uploads in the app.
    add(rows) {
      for (const row of rows) {
        row.key = this.keys++;
        row.iou = wsol.bestIou(row, wsol.boxesOf(row, null, this.about, null));
        row.verdict = wsol.verdict(row);
        this.rows.push(row);
      }
      this.toolbar.listClasses();
      this.arrange();
    }

    // Replaces the content of a row, such as after a change of the localizer in the app.
    renew(row, content) {
      Object.assign(row, content, { loading: undefined });
      this.maps.delete(row);
      this.changed();
    }

    // Removes rows and their decisions.
    remove(rows) {
      this.viewer.element.close();
      this.rows = this.rows.filter((row) => !rows.includes(row));
      for (const row of rows) {
        this.maps.delete(row);
        this.decisions.put(row, null);
      }
      this.changed();
    }

    changed() {
      this.toolbar.listClasses();
      this.arrange();
      if (this.viewer.isOpen && this.selected) this.viewer.show(this.selected);
    }

    // Changes parts of the state, and updates the page.
    set(change) {
      Object.assign(this.state, change);
      if ('opacity' in change || 'heat' in change || 'threshold' in change) {
        this.toolbar.follow();
        this.chart.follow(this.state.threshold ?? this.about.threshold);
        this.redraw();
      }
      if ('order' in change || 'filter' in change) {
        this.arrange();
        scrollTo({ top: Math.min(scrollY, this.top()), behavior: 'instant' });
      }
    }

    // Draws at most once per frame.
    redraw() {
      if (this.drawing) return;
      this.drawing = requestAnimationFrame(() => {
        this.drawing = 0;
        this.viewer.draw();
        this.grid.draw();
      });
    }

    top() {
      return this.grid.section.getBoundingClientRect().top + scrollY - this.toolbar.height() - 60;
    }

    // The step of the slider that is closest to the threshold of the prediction selects it.
    moveThreshold(value) {
      const own = Math.round(value * STEPS) === Math.round(this.about.threshold * STEPS);
      this.set({ threshold: own ? null : value });
    }

    // Returns the threshold of a decided row, or that of the slider; null: as predicted.
    thresholdOf(row) {
      const kept = this.decisions.kept(row);
      return kept ? kept.threshold : this.state.threshold;
    }

    ownThreshold(row) {
      return row.threshold ?? this.about.threshold;
    }

    // Returns the decoded map of a row: null if it has none, undefined if it is not loaded.
    mapNow(row) {
      return row.map ? this.maps.get(row) : null;
    }

    async mapOf(row) {
      if (!row.map) return null;
      if (!this.maps.has(row)) {
        row.loading ??= this.source.map(row).then(wsol.decodePng).catch((error) => {
          row.map = false;
          row.error ??= error.message;
          return null;
        });
        const { loading } = row;
        const map = await loading;
        // The content of the row may have changed meanwhile.
        if (row.loading !== loading) return this.mapOf(row);
        this.maps.set(row, map);
        const kept = this.decisions.kept(row);
        if (kept && !kept.boxes) this.decisions.put(row, { ...kept, boxes: this.boxesNow(row) });
      }
      return this.maps.get(row);
    }

    // Returns the boxes of a row: those of its decision, or the current ones; null if they depend on
    // a map that is not loaded.
    boxesNow(row) {
      const kept = this.decisions.kept(row);
      if (kept && kept.boxes) return kept.boxes;
      const threshold = this.thresholdOf(row);
      const map = this.mapNow(row);
      const waits = threshold !== null && map === undefined;
      return waits ? null : wsol.boxesOf(row, map, this.about, threshold);
    }

    arrange() {
      const { filter, order } = this.state;
      this.order = this.rows
        .filter((row) => wsol.passes(row, filter, this.about, this.decisions.of(row)))
        .sort(wsol.ORDERS[order]);
      if (!this.order.includes(this.selected)) this.selected = this.order[0] ?? null;
      this.grid.setRows(this.order);
      this.grid.mark();
      this.toolbar.tell();
    }

    select(row) {
      if (!row) return;
      this.selected = row;
      this.grid.reveal(row);
      this.grid.mark();
      if (this.viewer.isOpen) this.viewer.show(row);
    }

    open(row) {
      if (!row) return;
      this.select(row);
      this.viewer.show(row);
    }

    closed() {
      this.grid.element.focus({ preventScroll: true });
    }

    across() {
      return this.viewer.isOpen ? 1 : this.grid.columns;
    }

    step(by) {
      if (!this.order.length) return;
      const place = this.order.indexOf(this.selected);
      const to = Math.min(Math.max(place + by, 0), this.order.length - 1);
      if (!this.viewer.isOpen) this.grid.element.focus({ preventScroll: true });
      this.select(this.order[to]);
    }

    decide(what) {
      const row = this.selected;
      if (!row) return;
      this.decisions.decide(row, what);
      this.say(`${what || 'reopened'}: ${row.name}`);
      this.decided();
    }

    decideAndGoOn(what) {
      const row = this.selected;
      const place = this.order.indexOf(row);
      const next = this.order[place + 1];
      this.decide(what);
      if (next) this.select(next);
    }

    undo() {
      const row = this.decisions.undo();
      if (!row) return;
      this.say(`undone: ${row.name}`);
      this.decided();
      if (this.order.includes(row)) this.select(row);
    }

    decided() {
      if (this.state.filter.decision) this.arrange();
      this.toolbar.tell();
      this.grid.mark();
      if (this.viewer.isOpen) this.viewer.mark();
      // Rows without decision follow the slider again.
      this.redraw();
    }

    // Returns the accepted boxes as a COCO data set.
    async coco() {
      const pairs = [];
      for (const row of this.rows.filter((one) => this.decisions.of(one) === 'accepted')) {
        if (!this.boxesNow(row)) await this.mapOf(row);
        pairs.push([row, this.boxesNow(row) ?? []]);
      }
      return wsol.toCoco(pairs, this.about.classes);
    }

    async save() {
      wsol.download('accepted.json', await this.coco());
    }

    say(text) {
      this.said.textContent = text;
    }

    nextTheme() {
      this.setTheme(THEMES[(THEMES.indexOf(this.themeName) + 1) % THEMES.length]);
      wsol.remember(THEME, { theme: this.themeName });
    }

    setTheme(name) {
      this.themeName = THEMES.includes(name) ? name : 'auto';
      document.documentElement.dataset.theme = this.themeName;
      this.theme.replaceChildren(wsol.icon('theme'), { auto: 'Auto', light: 'Light', dark: 'Dark' }[this.themeName]);
      this.theme.setAttribute('aria-label', `Colors: ${this.themeName}`);
    }
  }

  // Creates the page of a source (see source.js), and returns its view.
  wsol.start = function (source) {
    if (source) return new View(source);
    document.body.replaceChildren(el('p', { class: 'empty' },
      'The data of the report are missing. Unpack the whole folder, and open index.html there.'));
    return null;
  };
})(globalThis.wsol ??= {});
