// Chosen files: what they are, their preview, and a heat map laid over it.

const DICOM = [0x44, 0x49, 0x43, 0x4d];

/** Whether a file is DICOM, by the mark after its preamble or by what it says it is. */
export async function isDicom(file) {
  if (file.type === "application/dicom") return true;
  const mark = new Uint8Array(await file.slice(128, 132).arrayBuffer());
  return mark.length === 4 && DICOM.every((byte, i) => mark[i] === byte);
}

/** Whether a file may be a picture at all; files without a type are left to the server. */
export function mayBePicture(file) {
  return file.type === "" || /^(image\/|application\/(dicom|octet-stream)$)/.test(file.type);
}

/** Returns the address of a preview and its size, or null where the browser cannot draw it. */
export async function preview(file) {
  const address = URL.createObjectURL(file);
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
    if (image.naturalWidth && image.naturalHeight) {
      return { address, width: image.naturalWidth, height: image.naturalHeight };
    }
  } catch {
    // TIFF, a broken file: shown as a tile, and judged by the server.
  }
  URL.revokeObjectURL(address);
  return null;
}

/** Returns which part of a picture a model saw, in shares of the picture's sides. */
export function seen({ width, height }, { fit, size }) {
  const [rows, columns] = size;
  const wider = width * rows > height * columns;
  const whole = { left: 0, top: 0, width: 1, height: 1 };
  if (fit === "stretch") return whole;
  // Cover cuts the longer side off, contain adds to the shorter one; both in the middle.
  if (wider === (fit === "cover")) {
    const share = (height * columns) / (rows * width);
    return { ...whole, left: (1 - share) / 2, width: share };
  }
  const share = (width * rows) / (columns * height);
  return { ...whole, top: (1 - share) / 2, height: share };
}

const FOR = [255, 106, 43];
const AGAINST = [53, 132, 228];

/** Draws a grid of numbers: warm above zero, cool below, clear at zero. */
export function paint(canvas, grid) {
  const rows = grid.length;
  const columns = grid[0].length;
  const most = Math.max(...grid.flat().map(Math.abs)) || 1;
  const small = document.createElement("canvas");
  small.width = columns;
  small.height = rows;
  const pixels = new ImageData(columns, rows);
  grid.flat().forEach((value, i) => {
    const strength = Math.abs(value) / most;
    pixels.data.set([...(value < 0 ? AGAINST : FOR), Math.round(255 * strength ** 0.8)], 4 * i);
  });
  small.getContext("2d").putImageData(pixels, 0, 0);
  canvas.width = 512;
  canvas.height = Math.max(1, Math.round((512 * rows) / columns));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** Returns row and column (0 to 2) of the third of a grid with its largest number. */
export function strongest(grid) {
  let best = [0, 0];
  grid.forEach((line, row) =>
    line.forEach((value, column) => {
      if (value > grid[best[0]][best[1]]) best = [row, column];
    }),
  );
  const third = (i, n) => Math.min(2, Math.floor(((i + 0.5) * 3) / n));
  return [third(best[0], grid.length), third(best[1], grid[0].length)];
}
