'use strict';
// What is above the pictures: how many there are, and how good the boxes are where truth is known.
(function (wsol) {
  const { element: el } = wsol;

  const NAMES = {
    top1_cls: 'Class right',
    top5_cls: 'Class among first five',
    gt_known: 'Box right (GT-known)',
    top1_loc: 'Class and box right',
    top5_loc: 'Box right, class in first five',
    max_box_acc_30: 'MaxBoxAcc, IoU 30',
    max_box_acc_50: 'MaxBoxAcc, IoU 50',
    max_box_acc_70: 'MaxBoxAcc, IoU 70',
    max_box_acc_v2: 'MaxBoxAccV2',
    mean_iou: 'Mean IoU',
  };
  const NOT_SHARES = new Set(['threshold', 'num_images']);

  function tile(label, value, unit, kind) {
    return el('div', { class: `tile ${kind || ''}` },
      el('dt', {}, label),
      el('dd', {}, value, unit ? el('span', { class: 'unit' }, unit) : null));
  }

  // What can be said where nothing is known to be right or wrong.
  function unjudged(about, rows) {
    const read = rows.filter((row) => row.status !== 'error');
    const scores = read.map((row) => row.score).sort((a, b) => a - b);
    const classes = new Set(read.map((row) => row.label));
    const middle = scores.length ? scores[Math.floor(scores.length / 2)] * 100 : 0;
    return [
      tile('With a box', wsol.count(about.statuses.ok || 0)),
      tile('Classes seen', wsol.count(classes.size)),
      tile('Median score', middle.toFixed(1), '%'),
    ];
  }

  wsol.summary = function (about, rows) {
    const shown = rows.length;
    const tiles = [tile('Pictures', wsol.count(about.number))];
    for (const [name, value] of Object.entries(about.metrics)) {
      if (value === null || NOT_SHARES.has(name)) continue;
      tiles.push(tile(NAMES[name] || name, value.toFixed(1), '%'));
    }
    if (!about.truth && shown && shown === about.number) tiles.push(...unjudged(about, rows));
    const { no_object: nothing = 0, error = 0 } = about.statuses;
    if (nothing) tiles.push(tile('No object found', wsol.count(nothing)));
    if (error) tiles.push(tile('Not readable', wsol.count(error), '', 'bad'));
    const notes = [];
    if (shown < about.number) {
      notes.push(el('p', { class: 'note' }, `This page shows ${wsol.count(shown)} of `
        + `${wsol.count(about.number)} pictures, spread evenly. The figures are of all.`));
    }
    return el('div', { class: 'figures' }, el('dl', { class: 'tiles' }, ...tiles), ...notes);
  };
})(globalThis.wsol ??= {});
