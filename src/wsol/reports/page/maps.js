'use strict';
/*
Boxes of a score map at a threshold, by the same rules and in the same order as in wsol.maps:
boxes_at, objects_at, merge_boxes and scale_boxes. Tests check that the results are equal.

A map is {width, height, grey: Uint8Array in rows}; a box is [x0, y0, x1, y1], with x1 and y1 one
past the last pixel. Internal masks have a margin of one pixel, so that all pixels have neighbors.
*/
(function (wsol) {
  const LEAST_AREA = 0.005;
  const LEAST_SADDLE = 0.75;
  const MOST_OVERLAP = 0.8;

  // Returns the gray level of a threshold, which is a fraction of the maximum.
  wsol.levelOf = function (map, threshold) {
    if (map.most === undefined) {
      map.most = 0;
      for (const value of map.grey) if (value > map.most) map.most = value;
    }
    return Math.floor(threshold * map.most);
  };

  // Returns a mask of the pixels strictly above the threshold, as 0 and 1, with the margin.
  function above(map, threshold) {
    const { width, height, grey } = map;
    const level = wsol.levelOf(map, threshold);
    const mask = new Uint8Array((width + 2) * (height + 2));
    for (let y = 0, from = 0; y < height; y++) {
      for (let x = 0, to = (y + 1) * (width + 2) + 1; x < width; x++, from++, to++) {
        if (grey[from] > level) mask[to] = 1;
      }
    }
    return mask;
  }

  // Labels connected components of a value of the mask from 1, in raster order of first pixels.
  function components(mask, stride, value, eight) {
    const steps = [-1, 1, -stride, stride];
    if (eight) steps.push(-stride - 1, -stride + 1, stride - 1, stride + 1);
    const labels = new Int32Array(mask.length);
    const stack = new Int32Array(mask.length);
    let number = 0;
    for (let first = 0; first < mask.length; first++) {
      if (mask[first] !== value || labels[first]) continue;
      labels[first] = ++number;
      stack[0] = first;
      for (let length = 1; length > 0;) {
        const pixel = stack[--length];
        for (const step of steps) {
          const there = pixel + step;
          // Outside the array the mask is undefined; at the ends of rows there is the margin.
          if (mask[there] === value && !labels[there]) {
            labels[there] = number;
            stack[length++] = there;
          }
        }
      }
    }
    return { labels, number };
  }

  function boxesOf({ labels, number }, stride, grow) {
    const boxes = Array.from({ length: number }, () => [stride, labels.length, -1, -1]);
    for (let pixel = 0; pixel < labels.length; pixel++) {
      if (!labels[pixel]) continue;
      const box = boxes[labels[pixel] - 1];
      const x = (pixel % stride) - 1;
      const y = Math.floor(pixel / stride) - 1;
      if (x - grow < box[0]) box[0] = x - grow;
      if (y - grow < box[1]) box[1] = y - grow;
      if (x + grow + 1 > box[2]) box[2] = x + grow + 1;
      if (y + grow + 1 > box[3]) box[3] = y + grow + 1;
    }
    return boxes;
  }

  // Returns the object whose filled outline has the largest area; of equal ones the last. The area
  // of an outline through pixel centers is the sum over squares of four centers: 0.5 with three of
  // them inside, 1 with four.
  function largestOf(mask, objects, holes, stride) {
    if (objects.number <= 1) return objects.number - 1;
    const filled = mask.slice();
    for (let pixel = 0; pixel < filled.length; pixel++) if (holes.labels[pixel] > 1) filled[pixel] = 1;
    const whole = components(filled, stride, 1, true);
    const areas = new Int32Array(whole.number + 1);
    for (let pixel = 0; pixel + stride + 1 < filled.length; pixel++) {
      const corners = [pixel, pixel + 1, pixel + stride, pixel + stride + 1];
      let inside = 0;
      let label = 0;
      for (const corner of corners) {
        inside += filled[corner];
        if (whole.labels[corner] > label) label = whole.labels[corner];
      }
      if (inside > 2) areas[label] += inside - 2;
    }
    let largest = -1;
    let most = -1;
    for (let pixel = 0; pixel < filled.length; pixel++) {
      const label = whole.labels[pixel];
      if (!label) continue;
      if (areas[label] >= most) {
        // An outermost object and its filled component have the same first pixel.
        largest = objects.labels[pixel] - 1;
        most = areas[label];
      }
      areas[label] = -1;
    }
    return largest;
  }

  // contours: 'all' (objects, then holes) or 'largest'.
  wsol.boxesAt = function (map, threshold, contours) {
    const stride = map.width + 2;
    const mask = above(map, threshold);
    const objects = components(mask, stride, 1, true);
    // The first component below the threshold is the outside, as it contains the margin.
    const around = components(mask, stride, 0, false);
    const boxes = boxesOf(objects, stride, 0);
    if (contours === 'largest') {
      const largest = largestOf(mask, objects, around, stride);
      return largest < 0 ? [] : [boxes[largest]];
    }
    return boxes.concat(boxesOf(around, stride, 1).slice(1));
  };

  function shared(a, b) {
    const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]);
    const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
    return Math.max(width, 0) * Math.max(height, 0);
  }

  const areaOf = (box) => (box[2] - box[0]) * (box[3] - box[1]);

  // Merges pairs of boxes that mostly overlap, until no such pair is left.
  function merge(parts) {
    for (;;) {
      let found = null;
      for (let i = 0; i < parts.length && !found; i++) {
        for (let j = i + 1; j < parts.length && !found; j++) {
          const a = parts[i].box;
          const b = parts[j].box;
          const least = Math.min(areaOf(a), areaOf(b));
          if (shared(a, b) > MOST_OVERLAP * least) found = [i, j];
        }
      }
      if (!found) return parts;
      const [one, other] = [parts[found[0]], parts[found[1]]];
      const [a, b] = [one.box, other.box];
      one.box = [
        Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3]),
      ];
      one.peak = Math.max(one.peak, other.peak);
      parts.splice(found[1], 1);
    }
  }

  // Returns the levels above the threshold, and 0 for other pixels, with the margin.
  function levelsAbove(map, threshold) {
    const mask = above(map, threshold);
    const stride = map.width + 2;
    const levels = new Uint8Array(mask.length);
    for (let pixel = 0; pixel < mask.length; pixel++) {
      const from = (Math.floor(pixel / stride) - 1) * map.width + (pixel % stride) - 1;
      if (mask[pixel]) levels[pixel] = map.grey[from];
    }
    return levels;
  }

  // Returns the number of the peak that each pixel ascends to, from 1; 0 where the level is 0. See
  // label_basins.
  function basinsOf(levels, stride) {
    const steps = [-1, 1, -stride, stride, -stride - 1, -stride + 1, stride - 1, stride + 1];
    const next = new Int32Array(levels.length).fill(-1);
    for (let pixel = 0; pixel < levels.length; pixel++) {
      if (!levels[pixel]) continue;
      let best = levels[pixel];
      for (const step of steps) {
        if (levels[pixel + step] > best) {
          best = levels[pixel + step];
          next[pixel] = pixel + step;
        }
      }
    }
    // A plateau ascends through one of its ascending pixels; a plateau without any is a peak.
    const basins = new Int32Array(levels.length);
    const done = new Uint8Array(levels.length);
    let number = 0;
    for (let first = 0; first < levels.length; first++) {
      if (!levels[first] || done[first] || next[first] >= 0) continue;
      const path = [first];
      let wayUp = -1;
      done[first] = 1;
      for (const pixel of path) {
        for (const step of steps) {
          const there = pixel + step;
          if (levels[there] !== levels[first]) continue;
          if (next[there] >= 0 && !done[there]) {
            wayUp = there;
          } else if (!done[there]) {
            done[there] = 1;
            path.push(there);
          }
        }
      }
      if (wayUp < 0) number += 1;
      for (const pixel of path) {
        if (wayUp < 0) basins[pixel] = number;
        else next[pixel] = wayUp;
      }
    }
    for (let first = 0; first < levels.length; first++) {
      if (!levels[first]) continue;
      const path = [];
      let pixel = first;
      for (; !basins[pixel]; pixel = next[pixel]) path.push(pixel);
      for (const each of path) basins[each] = basins[pixel];
    }
    return { basins, number };
  }

  // Joins basins at saddles, the highest first, to objects; labels as in components.
  function partsOf(levels, stride) {
    const { basins, number } = basinsOf(levels, stride);
    const peak = new Uint8Array(number + 1);
    const links = [];
    for (let pixel = 0; pixel < levels.length; pixel++) {
      if (levels[pixel] > peak[basins[pixel]]) peak[basins[pixel]] = levels[pixel];
      for (const step of [-1, -stride, -stride - 1, -stride + 1]) {
        const level = Math.min(levels[pixel], levels[pixel + step] || 0);
        if (level && basins[pixel] !== basins[pixel + step]) {
          links.push([level, basins[pixel], basins[pixel + step]]);
        }
      }
    }
    const parent = Int32Array.from({ length: number + 1 }, (_, node) => node);
    const rootOf = (node) => {
      while (parent[node] !== node) node = parent[node];
      return node;
    };
    links.sort((a, b) => b[0] - a[0]);
    for (const [level, a, b] of links) {
      const [one, other] = [rootOf(a), rootOf(b)];
      const [high, low] = peak[one] >= peak[other] ? [one, other] : [other, one];
      if (level >= LEAST_SADDLE * peak[low]) parent[low] = high;
    }
    const names = new Int32Array(number + 1);
    const labels = new Int32Array(levels.length);
    let count = 0;
    for (let pixel = 0; pixel < levels.length; pixel++) {
      if (!levels[pixel]) continue;
      const root = rootOf(basins[pixel]);
      if (!names[root]) names[root] = ++count;
      labels[pixel] = names[root];
    }
    return { labels, number: count };
  }

  // Returns [{box, peak: highest gray level}], sorted by descending peak.
  wsol.objectsAt = function (map, threshold) {
    const stride = map.width + 2;
    const levels = levelsAbove(map, threshold);
    const objects = partsOf(levels, stride);
    const parts = boxesOf(objects, stride, 0).map((box) => ({ box, peak: 0, area: 0 }));
    for (let pixel = 0; pixel < levels.length; pixel++) {
      if (!levels[pixel]) continue;
      const part = parts[objects.labels[pixel] - 1];
      part.area += 1;
      if (levels[pixel] > part.peak) part.peak = levels[pixel];
    }
    const most = parts.reduce((area, part) => Math.max(area, part.area), 0);
    const least = Math.min(LEAST_AREA * map.width * map.height, most);
    const kept = merge(parts.filter((part) => part.area >= least));
    return kept.sort((a, b) => b.peak - a.peak).map(({ box, peak }) => ({ box, peak }));
  };

  wsol.scaleBox = (box, map, row) => [
    (box[0] * row.width) / map.width, (box[1] * row.height) / map.height,
    (box[2] * row.width) / map.width, (box[3] * row.height) / map.height,
  ];

  // Returns the intersection over union of two boxes in any unit.
  wsol.iou = function (a, b) {
    const both = shared(a, b);
    return both / (areaOf(a) + areaOf(b) - both) || 0;
  };
})(globalThis.wsol ??= {});
