'use strict';
// Decoder of gray 8-bit PNG. A canvas may change pixel values, and a page from disk cannot read
// back a canvas that shows a file; this decoder is exact.
(function (wsol) {
  const HEADER = 8;
  const GREY = 0;

  async function inflate(parts) {
    const { readable, writable } = new DecompressionStream('deflate');
    const writer = writable.getWriter();
    // Errors are reported by the readable side.
    for (const part of parts) writer.write(part).catch(() => {});
    writer.close().catch(() => {});
    return new Uint8Array(await new Response(readable).arrayBuffer());
  }

  function paeth(left, above, corner) {
    const guess = left + above - corner;
    const toLeft = Math.abs(guess - left);
    const toAbove = Math.abs(guess - above);
    const toCorner = Math.abs(guess - corner);
    if (toLeft <= toAbove && toLeft <= toCorner) return left;
    return toAbove <= toCorner ? above : corner;
  }

  // PNG specification, section 9: each line begins with its filter type.
  function unfilter(lines, width, height) {
    const grey = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      const from = y * (width + 1);
      const to = y * width;
      const filter = lines[from];
      for (let x = 0; x < width; x++) {
        const left = x ? grey[to + x - 1] : 0;
        const above = y ? grey[to + x - width] : 0;
        const corner = x && y ? grey[to + x - width - 1] : 0;
        let guess = 0;
        if (filter === 1) guess = left;
        else if (filter === 2) guess = above;
        else if (filter === 3) guess = (left + above) >> 1;
        else if (filter === 4) guess = paeth(left, above, corner);
        grey[to + x] = lines[from + 1 + x] + guess;
      }
    }
    return grey;
  }

  // Decodes the bytes of a file (Uint8Array) to {width, height, grey: Uint8Array in rows}.
  wsol.decodePng = async function (bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let width = 0;
    let height = 0;
    const parts = [];
    for (let place = HEADER; place + 12 <= bytes.length;) {
      const length = view.getUint32(place);
      const kind = String.fromCharCode(...bytes.subarray(place + 4, place + 8));
      const start = place + 8;
      if (kind === 'IHDR') {
        width = view.getUint32(start);
        height = view.getUint32(start + 4);
        if (bytes[start + 8] !== 8 || bytes[start + 9] !== GREY || bytes[start + 12] !== 0) {
          throw new Error('a score map must be a gray 8-bit PNG that is not interlaced');
        }
      } else if (kind === 'IDAT') parts.push(bytes.subarray(start, start + length));
      place = start + length + 4;
    }
    const lines = await inflate(parts);
    if (!width || lines.length !== height * (width + 1)) throw new Error('the score map is damaged');
    return { width, height, grey: unfilter(lines, width, height) };
  };
})(globalThis.wsol ??= {});
