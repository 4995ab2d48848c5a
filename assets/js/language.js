// The page's language. The English sentence in the code is the name of the one in the catalogue (assets/locale), as with
// gettext; what the catalogue lacks is said in English. Which language, the server says (studio/ui/language.py): one page
// speaks one, and another is chosen by loading it anew.

/** @type {{ language?: string, words?: Record<string, string> }} */
const { language: spoken = "en", words = {} } = /** @type {any} */ (window).gradio_config ?? {};

export const language = spoken;
document.documentElement.lang = language;

/** What the page speaks, each by its own name. @type {[string, string][]} */
export const LANGUAGES = [["en", "English"], ["de", "Deutsch"]];
const CHOSEN = "palimpsest-language";

/** The language that was chosen in this browser; null where the page goes by the browser's own. */
export const chosen = () => new RegExp(`(?:^|; )${CHOSEN}=(\\w+)`).exec(document.cookie)?.[1] ?? null;

/** Another one from the next loading on, or null for the browser's own. Says whether the browser keeps it. @param {string | null} name */
export function choose(name) {
  const { pathname, protocol } = new URL(".", window.location.href); // in a frame of another site a cookie is kept only so
  document.cookie = `${CHOSEN}=${name ?? ""}; path=${pathname}; max-age=${name ? 31536000 : 0}; ${protocol === "https:" ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax"}`;
  return chosen() === name;
}

/** The sentence in the page's language, with what stands for each `{name}` in it. @param {string} message @param {Record<string, string | number>} [values] */
export function say(message, values = {}) {
  return (words[message] ?? message).replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole));
}

/** One sentence of one thing, another one of any other number, which is `{count}` in both. @param {number} count @param {string} one @param {string} more @param {Record<string, string | number>} [values] */
export const many = (count, one, more, values = {}) => say(count === 1 ? one : more, { count: number(count), ...values });

/** A number as it is written in the page's language. @param {number} x @param {number} [digits] after the point */
export const number = (x, digits = 0) => x.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
