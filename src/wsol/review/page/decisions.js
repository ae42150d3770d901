'use strict';
// Which pictures are accepted or rejected: kept by the browser, where it lets a page keep anything.
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

  wsol.Decisions = class {
    constructor(id) {
      this.key = `wsol:decisions:${id}`;
      this.made = new Map();
      this.done = [];
      const kept = Object.entries(remembered(this.key));
      for (const [name, what] of kept) {
        if (what === 'accepted' || what === 'rejected') this.made.set(name, what);
      }
    }

    of(row) {
      return this.made.get(row.name) || '';
    }

    // what: 'accepted', 'rejected' or '' for none.
    decide(row, what) {
      const before = this.of(row);
      if (before === what) return;
      this.done.push({ row, before });
      this.put(row, what);
    }

    // Takes the last decision back, and returns its row, or null.
    undo() {
      const last = this.done.pop();
      if (!last) return null;
      this.put(last.row, last.before);
      return last.row;
    }

    put(row, what) {
      if (what) this.made.set(row.name, what);
      else this.made.delete(row.name);
      wsol.remember(this.key, Object.fromEntries(this.made));
    }

    count(rows) {
      const counts = { accepted: 0, rejected: 0 };
      for (const row of rows) if (this.of(row)) counts[this.of(row)] += 1;
      return counts;
    }
  };
})(globalThis.wsol ??= {});
