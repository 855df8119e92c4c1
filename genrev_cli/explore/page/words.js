// Sentences and numbers that the live page and the recorded tour have in common.
export const small = (value) => (value === 0 ? "0" : value < 0.001 ? value.toExponential(1) : value.toFixed(4));

// What the two decoded pictures are, for readers who have never heard of latent codes.
export function codeText({ active, latent }) {
  return active < latent
    ? `The code of an image has ${latent} numbers. "restricted" is decoded from the ${active} active ones, "full" from all; ` +
      "the rest of the latent are the others, which hold the details."
    : `The code of an image has ${latent} numbers, all of them active.`;
}

export function tripText(trip) {
  if (!trip) return "A code without a photo: the original is what it decodes to.";
  const bytes = trip.wrong === 0 ? "every byte is equal" : `${trip.wrong} bytes differ`;
  return `Round trip through the full latent: largest error ${small(trip.largest)}, mean ${small(trip.mean)}, ${bytes}. ` +
    `Restricted: mean error ${small(trip.restricted)}. (Pixels from 0 to 1.)`;
}

export function modelText(about) {
  const [channels, height, width] = about.shape;
  return `${about.checkpoint}: ${about.network}, ${width}×${height} ${channels === 1 ? "gray" : "colour"}, ` +
    `${about.active} of ${about.latent} dimensions active${about.exact ? "" : "; no bijection, so photos come back only approximately"}`;
}

export async function copyText(area) {
  try {
    await navigator.clipboard.writeText(area.value);
    return "The command is in the clipboard.";
  } catch {
    area.focus();
    area.select();
    return "This browser lets no page write to the clipboard here; the command is marked, copy it with Ctrl+C.";
  }
}
