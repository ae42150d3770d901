'use strict';
// Chart of accuracy by threshold, or a histogram of scores without ground truth.
(function (wsol) {
  const { element: el, svg } = wsol;
  const WIDTH = 460;
  const HEIGHT = 190;
  const EDGE = { left: 34, right: 58, top: 12, bottom: 26 };
  const across = (share) => EDGE.left + share * (WIDTH - EDGE.left - EDGE.right);
  const up = (share) => HEIGHT - EDGE.bottom - share * (HEIGHT - EDGE.top - EDGE.bottom);

  function axes(lower, marks) {
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      parts.push(svg('line', { class: 'rule', x1: across(0), x2: across(1), y1: up(share), y2: up(share) }));
      if (marks) {
        parts.push(svg('text', { x: across(0) - 7, y: up(share) + 4, 'text-anchor': 'end' },
          String(Math.round(share * marks))));
      }
    }
    for (const share of [0, 0.25, 0.5, 0.75, 1]) {
      parts.push(svg('text', { x: across(share), y: HEIGHT - 8, 'text-anchor': 'middle' }, String(share)));
    }
    return svg('g', { class: 'axes' }, ...parts);
  }

  function nearest(thresholds, value) {
    let best = 0;
    thresholds.forEach((threshold, i) => {
      if (Math.abs(threshold - value) < Math.abs(thresholds[best] - value)) best = i;
    });
    return best;
  }

  // Moves the labels at the ends of the lines apart, where they would overlap.
  function spreadOut(places, least) {
    const order = places.map((y, i) => i).sort((a, b) => places[a] - places[b]);
    order.forEach((i, rank) => {
      if (rank) places[i] = Math.max(places[i], places[order[rank - 1]] + least);
    });
    const over = places.length ? places[order[order.length - 1]] - up(0) : 0;
    return over > 0 ? places.map((y) => y - over) : places;
  }

  // Returns {element, follow(threshold)}.
  function accuracy(about) {
    const { thresholds, lines } = about.curves;
    const own = about.threshold;
    const marker = svg('line', { class: 'marker', y1: up(0), y2: up(1) });
    const dots = lines.map(({ iou }) => svg('circle', { class: `dot iou${iou}`, r: 3.5 }));
    const names = lines.map(({ iou }) => svg('text', { class: `name iou${iou}`, x: across(1) + 8 }));
    const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img' },
      axes('threshold', 100),
      svg('line', { class: 'own', x1: across(own), x2: across(own), y1: up(0), y2: up(1) }),
      ...lines.map(({ iou, values }) => svg('polyline', {
        class: `curve iou${iou}`,
        points: values.map((y, i) => `${across(thresholds[i]).toFixed(1)},${up(y / 100).toFixed(1)}`).join(' '),
      })),
      marker, ...dots, ...names);
    const figure = el('figure', { class: 'chart' },
      el('figcaption', {}, 'Correct boxes by threshold, %',
        el('span', { class: 'quiet' }, 'by IoU, for predicted classes')),
      drawing);

    function follow(threshold) {
      const at = nearest(thresholds, threshold);
      const x = across(threshold);
      marker.setAttribute('x1', x);
      marker.setAttribute('x2', x);
      const places = spreadOut(lines.map(({ values }) => up(values[at] / 100)), 13);
      lines.forEach(({ iou, values }, i) => {
        dots[i].setAttribute('cx', x);
        dots[i].setAttribute('cy', up(values[at] / 100));
        names[i].setAttribute('y', places[i] + 4);
        names[i].textContent = `${iou}: ${values[at].toFixed(1)}`;
      });
      const said = lines.map(({ iou, values }) => `${values[at].toFixed(1)} percent at IoU ${iou}`);
      drawing.setAttribute('aria-label',
        `Correct boxes by threshold. At ${threshold.toFixed(2)}: ${said.join(', ')}.`);
    }
    return { element: figure, follow };
  }

  function scores(about) {
    const most = Math.max(...about.scores, 1);
    const bins = about.scores.length;
    const bars = about.scores.map((count, i) => svg('rect', {
      class: 'bar', x: across(i / bins) + 1, width: (across(1) - across(0)) / bins - 2,
      y: up(count / most), height: up(0) - up(count / most), rx: 2,
    }, svg('title', {}, `${count} images from ${i / bins} to ${(i + 1) / bins}`)));
    const drawing = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: 'img',
      'aria-label': `Histogram of scores with ${bins} bins of at most ${most} images.` },
    axes('score', most), ...bars);
    return {
      element: el('figure', { class: 'chart' },
        el('figcaption', {}, 'Images by score', el('span', { class: 'quiet' }, 'probability of the class')),
        drawing),
      follow() {},
    };
  }

  wsol.chart = (about) => (about.curves ? accuracy(about) : scores(about));
})(globalThis.wsol ??= {});
