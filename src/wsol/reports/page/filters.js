'use strict';
// Filters and sort order of the rows. Both use the predicted boxes, so that the order does not
// change with the threshold.
(function (wsol) {
  wsol.NO_FILTER = Object.freeze({
    text: '', className: '', status: '', verdict: '', decision: '',
    leastScore: 0, mostScore: 1, leastIou: 0, mostIou: 1,
  });

  wsol.classNames = function (row, about) {
    const names = new Set(row.ground_truth ? row.ground_truth.classes : []);
    if (row.label >= 0) names.add(about.classes[row.label]);
    return names;
  };

  function passesVerdict(row, verdict) {
    if (verdict === 'wrong') return row.verdict === 'box' || row.verdict === 'class';
    return row.verdict === verdict;
  }

  wsol.passes = function (row, filter, about, decision) {
    if (filter.text && !row.name.toLowerCase().includes(filter.text.toLowerCase())) return false;
    if (filter.className && !wsol.classNames(row, about).has(filter.className)) return false;
    if (filter.status && row.status !== filter.status) return false;
    if (filter.verdict && !passesVerdict(row, filter.verdict)) return false;
    if (filter.decision && (decision || 'open') !== filter.decision) return false;
    if (filter.leastScore > 0 || filter.mostScore < 1) {
      if (row.status === 'error') return false;
      if (row.score < filter.leastScore || row.score > filter.mostScore) return false;
    }
    if (filter.leastIou > 0 || filter.mostIou < 1) {
      if (row.iou === null || row.iou < filter.leastIou || row.iou > filter.mostIou) return false;
    }
    return true;
  };

  // Unreadable images are last.
  const unread = (row) => (row.status === 'error' ? 1 : 0);
  const byName = (a, b) => (a.name < b.name ? -1 : Number(a.name > b.name));

  function byFit(a, b) {
    if (a.iou !== null && b.iou !== null) return a.iou - b.iou;
    if (a.iou === null && b.iou === null) return wsol.boxScore(a) - wsol.boxScore(b);
    return a.iou === null ? 1 : -1;
  }

  wsol.ORDERS = {
    worst: (a, b) => unread(a) - unread(b) || byFit(a, b),
    best: (a, b) => unread(a) - unread(b) || byFit(b, a),
    high: (a, b) => unread(a) - unread(b) || b.score - a.score,
    low: (a, b) => unread(a) - unread(b) || a.score - b.score,
    name: byName,
    given: () => 0,
  };
})(globalThis.wsol ??= {});
