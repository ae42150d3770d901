'use strict';
// Boxes of an image at a threshold, and their evaluation against ground truth.
(function (wsol) {
  const RIGHT = 0.5;

  const predicted = (row) => row.boxes.map(([x0, y0, x1, y1, score, label]) => (
    { box: [x0, y0, x1, y1], score, label }
  ));

  // A box of the page gets class and score of the predicted box with the highest IoU, as a single
  // map contains all classes.
  function named(row, box, peak) {
    let best = { score: wsol.boxScore(row) * peak, label: row.label };
    let most = 0;
    for (const other of predicted(row)) {
      const iou = wsol.iou(box, other.box);
      if (iou > most) {
        most = iou;
        best = { score: other.score, label: other.label };
      }
    }
    return { box, ...best };
  }

  /*
  Returns the boxes of an image in pixels of the original: [{box, score, label}].
  threshold: null for the predicted boxes, from the full-size map; otherwise boxes are computed from
  the small map of the page. map may be null.
  */
  wsol.boxesOf = function (row, map, about, threshold) {
    if (threshold === null) return predicted(row);
    if (!map || row.status === 'error') return [];
    if (about.instances === 'multiple') {
      return wsol.objectsAt(map, threshold)
        .map(({ box, peak }) => named(row, wsol.scaleBox(box, map, row), peak / 255));
    }
    return wsol.boxesAt(map, threshold, 'largest')
      .map((box) => named(row, wsol.scaleBox(box, map, row), 1));
  };

  // Returns the highest score of an image's predicted boxes.
  wsol.boxScore = (row) => (row.boxes.length ? row.boxes[0][4] : 0);

  // Returns the best IoU of any box with any ground-truth box, or null without ground-truth boxes.
  wsol.bestIou = function (row, boxes) {
    if (!row.ground_truth || !row.ground_truth.boxes.length) return null;
    let best = 0;
    for (const { box } of boxes) {
      for (const other of row.ground_truth.boxes) best = Math.max(best, wsol.iou(box, other));
    }
    return best;
  };

  // Evaluates the prediction: 'right', 'class' (wrong), 'box' (wrong), or null if unknown.
  wsol.verdict = function (row) {
    if (!row.ground_truth) return null;
    if (row.iou !== null && row.iou < RIGHT) return 'box';
    if (row.ground_truth.right === false) return 'class';
    return row.iou === null && row.ground_truth.right === null ? null : 'right';
  };

  wsol.isRightBox = (iou) => iou >= RIGHT;
})(globalThis.wsol ??= {});
