// What Python sends to the page. Written by `make types` from the dataclasses; do not edit.

/** One turn as it is shown for correction. */
export interface Asked {
  subject: string;
  background: string;
  scope: "subject" | "background" | "both";
}

/** A text that the model was shown with the picture. */
export interface AttendedText {
  /** ``turn``: what the turn in preparation says; ``picture``: what the picture is said to show; ``text``: another
   * one. */
  of: string;
  text: string;
  words: AttendedWord[];
}

/** What the model looks at for one word. */
export interface AttendedWord {
  word: string;
  /** Digest of a small grey picture that lies over the whole one: white is where it looks most. */
  map: string;
  /** The share of its attention, 0 to 1, that it gives the word there. */
  most: number;
}

/** What the model looks at in the picture one stands on. */
export interface AttentionView {
  texts: AttendedText[];
}

/** An axis-parallel box ``xyxy`` in pixels; right and bottom are exclusive. */
export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** One click; ``include=False`` says "not this". */
export interface Click {
  x: number;
  y: number;
  include: boolean;
}

/** Both orders compared. */
export interface Consistency {
  order: "order does not matter" | "order matters a little" | "order matters" | "no verdict: this model has no limits";
  /** The CLIP whose similarity it is; ``None``: none was found, and every similarity is ``None``. */
  clip: string | null;
  /** Of the pixels that either order changed at all, the share that came out differently, 0 to 1. */
  disagreement: number;
  whole: Difference;
  subject: Difference;
  background: Difference;
  overlap: Difference;
}

/** How far the two pictures are apart within one part; every measure is ``None`` for a part without pixels. */
export interface Difference {
  /** How much of the picture the part is, 0 to 1. */
  share: number;
  /** Cosine of the CLIP's embeddings, -1 to 1; ``None`` also where there is no CLIP. */
  similarity: number | null;
  /** Mean of the structural similarity, -1 to 1. */
  ssim: number | null;
  /** Share of the part's pixels that differ by more than `CHANGED` levels, 0 to 1. */
  changed: number | null;
  /** Mean absolute difference over pixels and channels, in levels of 0 to 255. */
  mean: number | null;
}

/** The turn that is being prepared: what stands in the panel, saved on every change. */
export interface Draft {
  subject: string;
  background: string;
  scope: "subject" | "background" | "both";
  seed: number;
  negative: string;
  source: string;
  model: string;
  method: string;
  quality: "draft" | "standard" | "exact";
  background_reference: string | null;
  subject_reference: string | null;
  subject_reference_mask: string | null;
  candidates: number;
  changes: Record<string, any>;
  /** Scale by name of each LoRA file that is attached. */
  loras: Record<string, number>;
  /** Whether somebody said in this session to run a model on a picture that it was not made for. */
  insisted: boolean;
  prompts: MaskPrompts;
}

/** One picture of a line against the original. */
export interface Drift {
  /** The CLIP whose similarity it is; ``None``: none was found, and both similarities are ``None``. */
  clip: string | null;
  /** CLIP similarity of what the turns so far called subject, the rest hidden; ``None`` also where they named none.
   * */
  subject: number | null;
  /** The same of all the rest; ``None`` also where there is none. */
  background: number | null;
  /** dB over the pixels that every turn so far was to keep, 60 at most; ``None`` where there are none. */
  kept_psnr: number | null;
  /** How much of the picture those are, 0 to 1. */
  kept_share: number;
  /** How many turns so far were asked to change the subject. */
  subject_turns: number;
  /** How many were asked to change the background. */
  background_turns: number;
  /** How many turns so far had a model paint the subject anew. */
  subject_repaints: number;
  background_repaints: number;
  /** What went beyond the model's limits, in words: it is time to offer doing the line again from the original.
   * Empty where nothing did, of models without limits, and of turns from before it was noted. */
  too_far: string;
}

/** An earlier turn that is being changed. */
export interface EditingView {
  turn: string;
  /** Ids of the turns after it, which will be run again. */
  stale: string[];
  /** What all of it took the last time. */
  seconds: number;
}

/** One way to say it otherwise: the fields that it changes, and what they hold then. */
export interface Fix {
  /** A few words for a button: of the text's own, or `Said` by us. */
  label: string;
  subject: string | null;
  background: string | null;
  instruction: string | null;
}

/** A picture's size in pixels, and where the original lies in it. */
export interface FrameView {
  width: number;
  height: number;
  /** From the original's coordinates to its own, as CSS and SVG write a matrix: a, b, c, d, e, f with ``x' = a x +
   * c y + e`` and ``y' = b x + d y + f``. */
  moves: [number, number, number, number, number, number];
}

/** One remark on a text. */
export interface Hint {
  kind: "unknown" | "negation" | "removal" | "instruction" | "syntax" | "idle" | "cut";
  /** ``subject``, ``background`` or ``negative``. */
  part: string;
  /** Where in the part's text the words stand that are meant, in order. */
  spans: [number, number][];
  /** One short sentence for a person, as `Said`. */
  says: string;
  fixes: Fix[];
  /** All that the model knows, under headings, each in place of the first of the spans. */
  known: [string, Fix[]][];
}

/** A running or just finished job. */
export interface JobView {
  id: string;
  /** ``edit``, ``try``, ``replay``, ``swap``, ``orders``, ``split`` or ``attention``. */
  does: string;
  state: "queued" | "running" | "done" | "failed" | "cancelled" | "interrupted";
  stage: string;
  step: number;
  total: number;
  stages: StageView[];
  seconds_left: number | null;
  /** Jobs before it in the queue. */
  ahead: number;
  /** Counts up with every new preview picture; 0 while there is none. */
  preview: number;
  error: string | null;
}

/** One of the segmenter's alternatives for a single click: shown as a chip. */
export interface MaskChoice {
  label: string;
  /** The segmenter's own estimate of its IoU, 0 to 1. */
  score: number;
}

/** Everything the mask is made from, applied in the order of the fields. */
export interface MaskPrompts {
  clicks: Click[];
  box: Box | null;
  /** What the subject is called: it is looked for, and clicks and box refine what was found. */
  phrase: string;
  /** Strokes through what belongs to the subject, or (``erase``) through what does not: they are followed, not
   * painted. */
  scribbles: Stroke[];
  /** Which of the segmenter's alternatives (or of the phrase's matches) was chosen; ``None`` takes the best scored.
   * */
  choice: number | null;
  /** Digest of an uploaded mask, which replaces the segmenter's answer. */
  uploaded: string | null;
  /** Draw the edge of the segmenter's answer along the picture's: see `snap.snapped`. */
  snap: boolean;
  strokes: Stroke[];
  invert: boolean;
  /** Pixels to grow (positive) or shrink (negative). */
  grow: number;
  /** Pixels over which the pasted seam fades. */
  feather: number;
}

/** The mask as it stands; `mask` is ``None`` when nothing is selected. */
export interface MaskView {
  mask: string | null;
  /** Share of the picture, 0 to 1. */
  area: number;
  choices: MaskChoice[];
  chosen: number;
  /** True when the clicks were made on another picture than the current one. */
  stale: boolean;
}

/** One row of the list. A LoRA, whose kind says so, may have the id of a model. */
export interface ModelView {
  id: string;
  title: string;
  kind: string;
  /** What it was made for, in words. */
  family: string;
  /** Bytes. */
  size: number;
  /** Why it cannot be used. */
  fault: string | null;
  /** Where it came from, for what was pulled or added; only that can be removed. */
  source: string;
  /** The hub's commit that it was pulled at. */
  commit: string;
}

/** Everything the page shows of models. */
export interface ModelsView {
  models: ModelView[];
  starters: StarterView[];
  loras: string[];
  folder: string;
  job: JobView | null;
  /** What came of the last job that ended well. */
  told: string;
}

/** One pair of the table of orders. */
export interface OrderCell {
  first: string;
  second: string;
  /** From scopes and masks alone, 0 to 1: `guess_commute`. */
  guess: number;
  /** What was measured; ``None`` before both orders were run. */
  consistency: Consistency | null;
}

/** Whether the order of the last turns matters, pair by pair. */
export interface OrdersView {
  turns: string[];
  cells: OrderCell[];
}

/** A position in pixels of the picture; ``(0, 0)`` is the upper left corner. */
export interface Point {
  x: number;
  y: number;
}

/** A mask that was saved under a name. */
export interface SavedMaskView {
  name: string;
  /** Share of the picture that it was saved on, 0 to 1. */
  area: number;
  /** Its picture, of the size of that of `turn`. */
  mask: string;
  turn: string;
}

/** Everything the page draws. */
export interface SessionView {
  sid: string;
  name: string;
  /** Grows with every change; a page that sends an older one is told to reload. */
  rev: number;
  /** Seconds since 1970. */
  saved_at: number;
  width: number;
  /** Of the picture one stands on, in pixels. */
  height: number;
  turns: TurnView[];
  /** Names `turns` and `branches` as they are: the revision at which they were last drawn up. */
  film: number;
  current: string;
  can_undo: boolean;
  can_redo: boolean;
  draft: Draft;
  mask: MaskView;
  job: JobView | null;
  staged: StagedView[];
  /** What was done to the picture at upload, and limits of the model, in words. */
  notes: string[];
  branch: string;
  /** Name and id of the last turn of each, in the order they were made. */
  branches: [string, string][];
  editing: EditingView | null;
  swap: SwapView | null;
  trash: TrashView[];
  split: SplitView | null;
  /** Why the session can be looked at only, in words; empty where all of it is as it was saved. */
  damage: string;
  /** Candidates that were not kept, the newest first; they can be brought back. */
  put_away: StagedView[];
  /** Settings of the draft's method that change nothing with what is asked and with the others as they are: by
   * name, why. */
  idle: Record<string, string>;
  /** Those that were saved, in the order of their names. */
  masks: SavedMaskView[];
  /** The part of the picture that the model would be shown, in pixels; ``None`` for all of it. */
  sees: Box | null;
  /** Methods that can be tried on the draft's words, its own first. */
  alike: string[];
  /** ``None`` where nobody asked since this is the picture. */
  attention: AttentionView | null;
}

/** The turns of one instruction, in order. */
export interface Split {
  turns: Asked[];
  reader: string;
  unread: string[];
  note: string;
}

/** A sentence as turns, by the job that read it: the page that asked knows it by that. */
export interface SplitView {
  job: string;
  found: Split;
}

/** One stage of a job and the share of it that is done, 0 to 1. */
export interface StageView {
  name: string;
  fraction: number;
}

/** A finished picture that has not been kept yet. */
export interface StagedView {
  picture: string;
  frame: FrameView;
  /** What the turn was allowed to change, whatever the panel says by now. */
  scope: "subject" | "background" | "both";
  seed: number;
  outside_changed: number;
  outside_largest: number;
  flat: string;
  mask_after: string | null;
  label: string;
  method: string;
}

/** A model to begin with that is not here yet. */
export interface StarterView {
  repo: string;
  title: string;
  kind: string;
  /** What it does. */
  use: string;
  /** Bytes of a pull, about. */
  size: number;
  licence: string;
  /** Whether the 16-bit copy is pulled. */
  half: boolean;
  /** Why this machine cannot load it. */
  fault: string | null;
}

/** A brush or eraser stroke along `points`, `radius` pixels wide to each side; or the area that they go around; or
 * what has the colour of the first of them. It is added to what is selected, or taken away (`erase`), or all else
 * is (`keep`). */
export interface Stroke {
  points: Point[];
  radius: number;
  erase: boolean;
  /** All that lies within the closed line of `points`, and the line; `radius` says nothing then. Where it crosses
   * itself the even-odd rule holds. */
  fill: boolean;
  /** Everything within the box (if there is one) whose colour is no further than this from that at the first point:
   * see `wand.alike`. `radius` says nothing then. */
  wand: number | null;
  /** Of a wand: also what does not hang together with its point. */
  everywhere: boolean;
  /** What is selected and lies in it stays selected, nothing else. */
  keep: boolean;
  /** Where it goes over an edge the picture itself says what belongs to the subject: see `matting.matted`. */
  refine: boolean;
}

/** A session in a list. */
export interface Summary {
  sid: string;
  name: string;
  saved_at: number;
  /** Edits made, without the original and those in the trash. */
  turns: number;
  /** Digest of the picture one stands on; empty where that is not known. */
  picture: string;
  /** Something of it is not what was saved: see `Record.damage`. */
  damaged: boolean;
}

/** Two neighbouring turns, A then B, and what B then A came to. Pictures are digests. */
export interface SwapView {
  first: string;
  second: string;
  before: string;
  ab: string;
  ba: string;
  /** The map of their difference. */
  difference: string;
  /** What the other order took to compute. */
  seconds: number;
  /** `pipelines.evaluation.consistency.Consistency` as JSON. */
  consistency: Consistency;
}

/** A turn in the trash. */
export interface TrashView {
  turn: string;
  label: string;
  picture: string;
  /** How many went with it, itself included. */
  turns: number;
}

/** One node of the timeline. */
export interface TurnView {
  id: string;
  parent: string | null;
  /** Depth in the tree; the original is 0. */
  number: number;
  /** Row in the strip; the branch one stands on is lane 0. */
  lane: number;
  label: string;
  picture: string;
  frame: FrameView;
  /** Of the subject as the turn was given it, in the frame of the turn before. */
  mask: string | null;
  /** Of the subject in its picture. */
  mask_after: string | null;
  scope: "subject" | "background" | "both" | null;
  subject: string;
  background: string;
  /** What was to be kept out. */
  negative: string;
  method: string;
  quality: string;
  seed: number;
  seconds: number;
  outside_changed: number;
  outside_largest: number;
  /** The one colour, ``#rrggbb``, of all that was to change; empty where it is a picture. */
  flat: string;
  /** It took a second run, in float32. */
  in_float32: boolean;
  /** Its fit began at the layers of the turn before. */
  begun_warm: boolean;
  reference: string | null;
  /** `pipelines.evaluation.drift.Drift` as JSON; ``None`` where it was not measured. */
  drift: Drift | null;
}
