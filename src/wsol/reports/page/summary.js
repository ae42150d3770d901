'use strict';
// Summary above the images: number of images, and metrics if ground truth is known.
(function (wsol) {
  const { element: el } = wsol;

  function tile(label, value, unit, kind) {
    return el('div', { class: `tile ${kind || ''}` },
      el('dt', {}, label),
      el('dd', {}, value, unit ? el('span', { class: 'unit' }, unit) : null));
  }

  // No tile for the threshold, which is on the slider, and for faults that did not occur.
  function figureTile({ title, kind }, value) {
    if (value === null || kind === 'threshold' || (kind === 'fault' && !value)) return null;
    const alone = title.replace('of these: ', '');
    const name = alone[0].toUpperCase() + alone.slice(1);
    return kind === 'percent' ? tile(name, value.toFixed(1), '%')
      : tile(name, wsol.count(value), '', kind === 'fault' ? 'bad' : '');
  }

  // Tiles without ground truth.
  function unevaluated(about, rows) {
    const read = rows.filter((row) => row.status !== 'error');
    const scores = read.map((row) => row.score).sort((a, b) => a - b);
    const classes = new Set(read.map((row) => row.label));
    const middle = scores.length ? scores[Math.floor(scores.length / 2)] * 100 : 0;
    return [
      tile('With a box', wsol.count(about.statuses.ok || 0)),
      tile('Predicted classes', wsol.count(classes.size)),
      tile('Median score', middle.toFixed(1), '%'),
    ];
  }

  wsol.summary = function (about, rows) {
    const shown = rows.length;
    // Metrics of wsol evaluate are of a whole split, of which the page may show a part.
    const { num_images: images, ...metrics } = about.metrics;
    const total = images ?? about.number;
    const tiles = [tile('Images', wsol.count(total))];
    for (const [name, value] of Object.entries(metrics)) {
      const one = figureTile(about.figures[name], value);
      if (one) tiles.push(one);
    }
    if (!about.ground_truth && shown && shown === total) tiles.push(...unevaluated(about, rows));
    const { no_object: nothing = 0, error = 0 } = images === undefined ? about.statuses : {};
    if (nothing) tiles.push(tile('No object found', wsol.count(nothing)));
    if (error) tiles.push(tile('Unreadable', wsol.count(error), '', 'bad'));
    const notes = [];
    if (shown < total) {
      notes.push(el('p', { class: 'note' }, `This page shows ${wsol.count(shown)} of `
        + `${wsol.count(total)} images, spread evenly. The metrics are of all images.`));
    }
    if (about.metrics.gt_known !== undefined) {
      notes.push(el('p', { class: 'note' }, 'MaxBoxAcc, GT-known and Top-1 Loc are computed from score '
        + 'maps of the ground-truth class. The images and the curves show the predicted class.'));
    }
    return el('div', { class: 'figures' }, el('dl', { class: 'tiles' }, ...tiles), ...notes);
  };
})(globalThis.wsol ??= {});
