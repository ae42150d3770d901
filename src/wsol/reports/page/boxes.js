'use strict';
// Which boxes an image shows at a threshold, and how well they fit what is true.
(function (wsol) {
  const RIGHT = 0.5;

  const predicted = (row) => row.boxes.map(([x0, y0, x1, y1, score, label]) => (
    { box: [x0, y0, x1, y1], score, label }
  ));

  // A box of the page has the class and score of the predicted box that it covers most of, as one
  // map carries all classes.
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
  The boxes of an image in its own pixels: [{box, score, label}].
  threshold: null for those of the prediction itself, from the whole map; otherwise the page finds
  them on the map that it carries. map may be null where there is none.
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

  // The highest score of an image's predicted boxes: the lower, the more doubtful they are.
  wsol.boxScore = (row) => (row.boxes.length ? row.boxes[0][4] : 0);

  // The best IoU of any box with any true box, or null where no true box is known.
  wsol.bestIou = function (row, boxes) {
    if (!row.truth || !row.truth.boxes.length) return null;
    let best = 0;
    for (const { box } of boxes) {
      for (const truth of row.truth.boxes) best = Math.max(best, wsol.iou(box, truth));
    }
    return best;
  };

  // 'right', 'class' (wrong), 'box' (wrong), or null where neither is known; of the prediction.
  wsol.verdict = function (row) {
    if (!row.truth) return null;
    if (row.iou !== null && row.iou < RIGHT) return 'box';
    if (row.truth.right === false) return 'class';
    return row.iou === null && row.truth.right === null ? null : 'right';
  };

  wsol.isRightBox = (iou) => iou >= RIGHT;
})(globalThis.wsol ??= {});
