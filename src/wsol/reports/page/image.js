'use strict';
// An image with heat map and boxes, in a card or in the viewer.
(function (wsol) {
  const { element: el, svg } = wsol;

  function outline([x0, y0, x1, y1], kind) {
    const place = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    return svg('g', { class: `box ${kind}` },
      svg('rect', { class: 'under', ...place }), svg('rect', { class: 'line', ...place }));
  }

  wsol.Image = class {
    // shows: {predicted, groundTruth}: which boxes are shown, and with predicted ones the heat map;
    // times: enlargement of the heat map.
    constructor(view, shows, times) {
      Object.assign(this, { view, shows, times, row: null });
      this.photo = el('img', { alt: '', decoding: 'async', draggable: 'false' });
      this.heat = el('canvas', { class: 'heat', 'aria-hidden': 'true' });
      this.lines = svg('svg', { class: 'lines', preserveAspectRatio: 'none', 'aria-hidden': 'true' });
      this.stage = el('div', { class: 'stage' }, this.photo, this.heat, this.lines);
      this.message = el('p', { class: 'message' });
      this.element = el('div', { class: 'frame' }, this.stage, this.message);
    }

    // Fits the stage into a frame of this size in pixels.
    fit(width, height) {
      const row = this.row;
      if (!row || !row.width) return;
      const scale = Math.min(width / row.width, height / row.height);
      this.stage.style.width = `${row.width * scale}px`;
      this.stage.style.height = `${row.height * scale}px`;
    }

    // Clears the image until the next show(row).
    clear() {
      this.row = null;
      this.found = null;
      this.stage.hidden = true;
      this.message.hidden = true;
    }

    show(row) {
      this.row = row;
      const address = this.view.source.photo(row);
      this.stage.hidden = !row.width;
      if (address) this.photo.src = address;
      else this.photo.removeAttribute('src');
      this.photo.hidden = !address;
      this.lines.setAttribute('viewBox', `0 0 ${row.width || 1} ${row.height || 1}`);
      const nothing = this.shows.predicted && row.status === 'no_object' ? 'no object found' : '';
      this.message.textContent = row.error || nothing;
      this.message.hidden = !this.message.textContent;
      this.element.classList.toggle('failed', Boolean(row.error));
      this.draw();
    }

    // Draws heat map and boxes at the row's threshold; a map that is not loaded follows later.
    draw() {
      const { view, row } = this;
      const map = this.shows.predicted ? view.mapNow(row) : null;
      if (this.shows.predicted && row.map && map === undefined) {
        this.heat.hidden = true;
        view.mapOf(row).then(() => { if (this.row === row) this.draw(); });
      }
      const threshold = view.thresholdOf(row);
      this.heat.hidden = !map || !view.state.heat || !this.shows.predicted;
      if (!this.heat.hidden) {
        const level = threshold ?? view.ownThreshold(row);
        wsol.paintHeat(this.heat, map, level, { times: this.times, opacity: view.state.opacity });
      }
      this.found = view.boxesNow(row) ?? [];
      const groundTruth = this.shows.groundTruth && row.ground_truth ? row.ground_truth.boxes : [];
      this.lines.replaceChildren(
        ...groundTruth.map((box) => outline(box, 'true')),
        ...(this.shows.predicted ? this.found.map(({ box }) => outline(box, 'predicted')) : []),
      );
    }
  };
})(globalThis.wsol ??= {});
