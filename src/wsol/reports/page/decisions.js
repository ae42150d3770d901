'use strict';
// Which images are accepted or rejected, and with which boxes: kept by the browser, where it lets a
// page keep anything. What is decided stays as it was decided, wherever the slider is moved later.
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

  // A decision from the browser's store, where other pages may write too; null where it is none.
  // Earlier versions kept the word alone.
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
    // shown(row): {threshold, boxes} as the row is shown at this moment, which a decision keeps.
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

    // {what, threshold, boxes} of a row that is decided; boxes are null where its map is not here yet.
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

    // Takes the last decision back, and returns its row, or null.
    undo() {
      const last = this.done.pop();
      if (!last) return null;
      this.put(last.row, last.before);
      return last.row;
    }

    put(row, decision) {
      if (decision) this.made.set(row.name, decision);
      else this.made.delete(row.name);
      // Boxes as predicted come with the row.
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
