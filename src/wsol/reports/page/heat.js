'use strict';
// Draws a score map on a canvas, with the colors of wsol.visualization.draw and opacity by score.
(function (wsol) {
  const STOPS = [0, 50, 102, 128, 153, 204, 255];
  const RAMP = [
    [40, 20, 90], [30, 90, 230], [20, 220, 220], [152, 240, 112],
    [240, 220, 40], [240, 80, 20], [128, 10, 10],
  ];
  const BELOW = 0.4;

  const colours = new Uint8Array(256 * 4);
  for (let level = 0, stop = 0; level < 256; level++) {
    while (level > STOPS[stop + 1]) stop++;
    const share = (level - STOPS[stop]) / (STOPS[stop + 1] - STOPS[stop]);
    for (let channel = 0; channel < 3; channel++) {
      const [from, to] = [RAMP[stop][channel], RAMP[stop + 1][channel]];
      colours[level * 4 + channel] = Math.round(from + share * (to - from));
    }
    colours[level * 4 + 3] = Math.round(255 * Math.min(1, (level / 140) ** 0.8));
  }

  // Bilinear interpolation.
  function enlarge(map, times) {
    const { width, height, grey } = map;
    if (times === 1) return map;
    const wide = width * times;
    const high = height * times;
    const rows = new Float32Array(wide * height);
    for (let x = 0; x < wide; x++) {
      const at = Math.min(Math.max((x + 0.5) / times - 0.5, 0), width - 1);
      const left = Math.floor(at);
      const right = Math.min(left + 1, width - 1);
      const share = at - left;
      for (let y = 0; y < height; y++) {
        const row = y * width;
        rows[y * wide + x] = grey[row + left] * (1 - share) + grey[row + right] * share;
      }
    }
    const large = new Uint8Array(wide * high);
    for (let y = 0; y < high; y++) {
      const at = Math.min(Math.max((y + 0.5) / times - 0.5, 0), height - 1);
      const top = Math.floor(at);
      const under = Math.min(top + 1, height - 1);
      const share = at - top;
      for (let x = 0; x < wide; x++) {
        large[y * wide + x] = rows[top * wide + x] * (1 - share) + rows[under * wide + x] * share;
      }
    }
    return { width: wide, height: high, grey: large };
  }

  /*
  Paints a map. The opacity is part of the pixels, as a compositing layer per canvas would make
  scrolling slow. Pixels that are not above the threshold are fainter, to emphasize the object.
  times: enlargement of the map.
  */
  wsol.paintHeat = function (canvas, map, threshold, { times, opacity }) {
    const { width, height, grey } = enlarge(map, times);
    const level = wsol.levelOf(map, threshold);
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext('2d');
    const pixels = context.createImageData(width, height);
    const data = pixels.data;
    for (let i = 0, to = 0; i < grey.length; i++, to += 4) {
      const from = grey[i] * 4;
      data[to] = colours[from];
      data[to + 1] = colours[from + 1];
      data[to + 2] = colours[from + 2];
      data[to + 3] = colours[from + 3] * (grey[i] > level ? opacity : opacity * BELOW);
    }
    context.putImageData(pixels, 0, 0);
  };

  wsol.heatColours = colours;
})(globalThis.wsol ??= {});
