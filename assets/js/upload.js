// Files on their way to the studio.
import { say } from "./language.js";
import { state } from "./store.js";
import { toast } from "./toasts.js";
import { base } from "./urls.js";

/** The pictures that the studio reads, as a file chooser is told of them. */
export const PICTURES = "image/png,image/jpeg,image/webp,image/avif,image/tiff,image/heic,image/heif";

/**
 * Sends a file; the ticket that the studio takes it with, or null when it was not taken, which is told.
 * @param {File} file
 * @returns {Promise<string | null>}
 */
export async function upload(file) {
  const limit = state.about.upload_limit;
  if (file.size > limit * 2 ** 20) {
    const large = Math.ceil(file.size / 2 ** 20), session = file.name.endsWith(".palimpsest");
    toast(say(session ? "Files may have up to {limit} MB; this one has {large} MB. Start the studio with --upload-limit {large}, or stop it and run: launch.py import FILE" : "Files may have up to {limit} MB; this one has {large} MB. Save it smaller and try again.", { limit, large }));
    return null;
  }
  try {
    const answer = await fetch(`${base}studio/upload`, { method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" } });
    if (answer.ok) return (await answer.json()).ticket;
    toast(await answer.text(), "bad", null, "en");
  } catch {
    toast(say("The file could not be sent. Check that the studio is still running, then choose it again."));
  }
  return null;
}
