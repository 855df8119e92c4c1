// Requests to the server, with the key that stands behind # in the address.
export const token = location.hash.slice(1);

export async function ask(path, body, headers = {}) {
  const options = body === undefined ? {} : { method: "POST", body };
  let answer;
  try {
    answer = await fetch(`/api/${path}`, { ...options, headers: { "x-genrev-token": token, ...headers } });
  } catch {
    throw new Error("genrev explore does not answer; it may have ended. Start it again and use its new address");
  }
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({}));
  throw new Error(told.error || `the server failed (${answer.status}); its terminal says why`);
}

export const post = (path, table) => ask(path, JSON.stringify(table), { "content-type": "application/json" });

// A frame is the length of a JSON object in 4 bytes, the object, and pixels (n, H, W, C).
export async function frame(answer) {
  const bytes = await answer.arrayBuffer();
  const length = new DataView(bytes).getUint32(0);
  const told = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const [n, height, width, channels] = told.pictures;
  const pixels = new Uint8Array(bytes, 4 + length);
  const pictures = [];
  for (let i = 0; i < n; i++) {
    const picture = new ImageData(width, height);
    for (let j = 0; j < width * height; j++) {
      const from = (i * width * height + j) * channels;
      for (let c = 0; c < 3; c++) picture.data[4 * j + c] = pixels[from + (channels === 3 ? c : 0)];
      picture.data[4 * j + 3] = 255;
    }
    pictures.push(picture);
  }
  return { told, pictures };
}
