'use strict';
// Grid of cards; only cards near the visible area are in the document.
(function (wsol) {
  const { element: el } = wsol;
  const GAP = 16;
  const CAPTION = 58;
  const OVERSCAN = 1;
  // Scroll speed in pixels per millisecond above which cards are not filled.
  const FAST = 3;
  const SETTLED = 90;
  // Milliseconds per frame for filling cards with images and maps.
  const BUDGET = 6;

  class Card {
    constructor(view) {
      this.view = view;
      this.image = new wsol.Image(view, { predicted: true, groundTruth: true }, 1);
      this.badge = el('span', { class: 'badge', 'aria-hidden': 'true' });
      this.name = el('span', { class: 'name' });
      this.label = el('span', { class: 'label' });
      this.score = el('span', { class: 'score' });
      this.fit = el('span', { class: 'fit' });
      this.element = el('div', { class: 'card', role: 'option' },
        this.image.element, this.badge,
        el('div', { class: 'caption' }, this.name,
          el('div', { class: 'facts' }, this.label, this.score, this.fit)));
      this.element.addEventListener('click', () => view.select(this.row));
      this.element.addEventListener('dblclick', () => view.open(this.row));
      this.image.element.addEventListener('click', () => {
        if (view.selected === this.row) view.open(this.row);
      });
    }

    // Shows text only; fill() adds image, heat map and boxes.
    show(row) {
      this.row = row;
      this.element.id = `card-${row.key}`;
      this.name.textContent = row.name;
      this.name.title = row.name;
      this.image.clear();
      this.tell();
      this.mark();
    }

    fill(width, height) {
      this.image.show(this.row);
      this.image.fit(width, height);
      this.tell();
    }

    draw() {
      if (!this.image.row) return;
      this.image.draw();
      this.tell();
    }

    // Updates the texts of the card.
    tell() {
      const { row, view } = this;
      const name = row.label >= 0 ? view.about.classes[row.label] : '';
      this.label.textContent = row.status === 'error' ? 'unreadable' : name;
      this.score.textContent = row.status === 'error' ? '' : wsol.percent(row.score);
      this.label.title = name;
      this.label.classList.toggle('wrong', row.ground_truth?.right === false);
      const { found } = this.image;
      const iou = row.status === 'error' || !found ? null : wsol.bestIou(row, found);
      this.fit.textContent = iou === null ? '' : `IoU ${(iou * 100).toFixed(0)}`;
      this.fit.hidden = iou === null;
      this.fit.classList.toggle('right', iou !== null && wsol.isRightBox(iou));
      const decision = view.decisions.of(row);
      const said = [row.name, this.label.textContent, this.score.textContent, this.fit.textContent,
        row.error, decision].filter(Boolean).join(', ');
      if (said !== this.said) this.element.setAttribute('aria-label', said);
      this.said = said;
    }

    mark() {
      const { row, view, element } = this;
      const decision = view.decisions.of(row);
      element.dataset.decision = decision;
      element.setAttribute('aria-selected', String(view.selected === row));
      this.badge.replaceChildren(...(decision
        ? [wsol.icon(decision === 'accepted' ? 'accept' : 'reject')] : []));
    }
  }

  wsol.Grid = class {
    constructor(view) {
      this.view = view;
      this.rows = [];
      this.cards = new Map();
      this.free = [];
      this.unfilled = new Set();
      this.seen = { at: 0, top: 0 };
      this.space = el('div', { class: 'space' });
      this.empty = el('p', { class: 'empty' });
      this.element = el('div', {
        class: 'grid', id: 'images', role: 'listbox', tabindex: '0', 'aria-label': 'Images',
      }, this.space);
      this.section = el('section', { class: 'images' }, this.element, this.empty);
      this.waiting = false;
      addEventListener('scroll', () => this.later(), { passive: true });
      new ResizeObserver(() => this.measure()).observe(this.element);
    }

    later() {
      if (this.waiting) return;
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.render();
      });
    }

    setRows(rows) {
      this.rows = rows;
      this.places = new Map(rows.map((row, i) => [row, i]));
      this.empty.hidden = rows.length > 0;
      this.element.hidden = !rows.length;
      this.empty.textContent = this.view.rows.length
        ? 'No image matches these filters.' : 'There are no images.';
      this.measure();
    }

    measure() {
      const width = this.element.clientWidth;
      if (!width) return;
      const least = width < 560 ? 150 : 232;
      this.columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
      this.width = (width - GAP * (this.columns - 1)) / this.columns;
      this.height = Math.round(this.width * 0.8);
      this.pitch = this.height + CAPTION + GAP;
      this.space.style.height = `${Math.ceil(this.rows.length / this.columns) * this.pitch}px`;
      this.element.style.setProperty('--frame', `${this.height}px`);
      // Rows keep their cards, so that a card does not change under the pointer.
      for (const [row, card] of [...this.cards]) {
        const place = this.places.get(row);
        if (place === undefined) this.drop(row);
        else this.lay(card, row, place);
      }
      this.render();
    }

    drop(row) {
      const card = this.cards.get(row);
      this.cards.delete(row);
      card.element.hidden = true;
      // The row may get another card: ids and positions must be unique.
      for (const name of ['id', 'aria-posinset']) card.element.removeAttribute(name);
      this.unfilled.delete(card);
      this.free.push(card);
    }

    // Places the cards of the visible rows.
    render() {
      if (!this.columns || !this.rows.length) {
        for (const row of [...this.cards.keys()]) this.drop(row);
        return;
      }
      const top = -this.element.getBoundingClientRect().top;
      const first = Math.max(0, Math.floor(top / this.pitch) - OVERSCAN) * this.columns;
      const last = Math.min(this.rows.length,
        (Math.ceil((top + innerHeight) / this.pitch) + OVERSCAN) * this.columns);
      for (const row of [...this.cards.keys()]) {
        const place = this.places.get(row);
        if (place === undefined || place < first || place >= last) this.drop(row);
      }
      for (let place = first; place < last; place++) this.put(this.rows[place], place);
      if (this.isFast(top)) {
        clearTimeout(this.settling);
        this.settling = setTimeout(() => this.later(), SETTLED);
      } else this.fill();
    }

    isFast(top) {
      const now = performance.now();
      const { at, top: before } = this.seen;
      this.seen = { at: now, top };
      return now - at < SETTLED && Math.abs(top - before) > FAST * (now - at) && now > at;
    }

    fill() {
      const start = performance.now();
      for (const card of this.unfilled) {
        if (performance.now() - start > BUDGET) {
          this.later();
          return;
        }
        this.unfilled.delete(card);
        card.fill(this.width, this.height);
      }
    }

    put(row, place) {
      if (this.cards.has(row)) return;
      let card = this.free.pop();
      if (!card) {
        card = new Card(this.view);
        this.space.append(card.element);
      }
      this.cards.set(row, card);
      this.lay(card, row, place);
    }

    lay(card, row, place) {
      const x = (place % this.columns) * (this.width + GAP);
      const y = Math.floor(place / this.columns) * this.pitch;
      card.element.hidden = false;
      card.element.style.width = `${this.width}px`;
      card.element.style.transform = `translate(${x}px, ${y}px)`;
      card.element.setAttribute('aria-posinset', place + 1);
      card.element.setAttribute('aria-setsize', this.rows.length);
      card.show(row);
      this.unfilled.add(card);
    }

    draw() {
      for (const card of this.cards.values()) card.draw();
    }

    mark() {
      for (const card of this.cards.values()) {
        card.mark();
        card.tell();
      }
      const { selected } = this.view;
      if (selected && this.cards.has(selected)) {
        this.element.setAttribute('aria-activedescendant', this.cards.get(selected).element.id);
      } else this.element.removeAttribute('aria-activedescendant');
    }

    // Scrolls by the minimum distance that makes the row visible.
    reveal(row) {
      const place = this.places.get(row);
      if (place === undefined) return;
      const box = this.element.getBoundingClientRect();
      const top = box.top + Math.floor(place / this.columns) * this.pitch;
      const bar = this.view.toolbar.height();
      if (top < bar + GAP) scrollBy({ top: top - bar - GAP, behavior: 'instant' });
      else if (top + this.pitch > innerHeight) {
        scrollBy({ top: top + this.pitch - innerHeight, behavior: 'instant' });
      }
      this.render();
    }
  };
})(globalThis.wsol ??= {});
