'use strict';
// Decisions to accept or reject images with their boxes, in the browser's local storage if it is
// available. Later changes of the threshold do not affect decided images.
(function (wsol) {
  function remembered(key) {
    try {
      return JSON.parse(localStorage.getItem(key) || '{}');
    } catch {
      return {};
    }
  }

  wsol.remember = function (key, value) {
    try {
      localStorage.setItem(key, JSON.stringify(value));
      return true;
    } catch {
      return false;
    }
  };
  wsol.remembered = remembered;

  const isBox = (one) => Array.isArray(one?.box) && one.box.length === 4 && one.box.every(Number.isFinite);

  // Validates a decision from local storage, where other pages may write too; null if not valid.
  // Earlier versions stored a string only.
  function restored(kept) {
    const { what, threshold = null, boxes = null } = typeof kept === 'string' ? { what: kept } : kept ?? {};
    if (what !== 'accepted' && what !== 'rejected') return null;
    return {
      what,
      threshold: Number.isFinite(threshold) ? threshold : null,
      boxes: Array.isArray(boxes) && boxes.every(isBox) ? boxes : null,
    };
  }

  wsol.Decisions = class {
    // shown(row): {threshold, boxes} as currently shown, which a decision stores.
    constructor(id, shown) {
      this.key = `wsol:decisions:${id}`;
      this.shown = shown;
      this.made = new Map();
      this.done = [];
      for (const [name, kept] of Object.entries(remembered(this.key))) {
        const decision = restored(kept);
        if (decision) this.made.set(name, decision);
      }
    }

    of(row) {
      return this.kept(row)?.what || '';
    }

    // {what, threshold, boxes} of a decided row, or null; boxes are null if its map is not loaded.
    kept(row) {
      return this.made.get(row.name) ?? null;
    }

    // what: 'accepted', 'rejected' or '' for none.
    decide(row, what) {
      const before = this.kept(row);
      if ((before?.what || '') === what) return;
      this.done.push({ row, before });
      this.put(row, what ? { ...(before ?? this.shown(row)), what } : null);
    }

    // Reverts the last decision, and returns its row, or null.
    undo() {
      const last = this.done.pop();
      if (!last) return null;
      this.put(last.row, last.before);
      return last.row;
    }

    put(row, decision) {
      if (decision) this.made.set(row.name, decision);
      else this.made.delete(row.name);
      // Predicted boxes are part of the row.
      const lean = ([name, kept]) => [name, kept.threshold === null ? { ...kept, boxes: null } : kept];
      wsol.remember(this.key, Object.fromEntries([...this.made].map(lean)));
    }

    count(rows) {
      const counts = { accepted: 0, rejected: 0 };
      for (const row of rows) if (this.of(row)) counts[this.of(row)] += 1;
      return counts;
    }
  };
})(globalThis.wsol ??= {});
