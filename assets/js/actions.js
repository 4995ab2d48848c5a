// What a shortcut, or a button of a message, may call in a panel that it does not know: each panel registers its own.

/** @typedef {import("./geometry.js").Point} Point */

/**
 * @typedef {object} Actions
 * @property {(id: string) => void} tool takes one of the mask tools into the hand
 * @property {() => void} clear removes every mark
 * @property {(by: number) => void} size makes the brush larger by that many pixels
 * @property {(index: number) => void} tab shows one of the stage's views
 * @property {(turn: string | null) => void} compare compares the turn shown with another one, or again with the one before it
 * @property {(on: boolean) => void} peek shows the picture before, while it is on
 * @property {(way: 1 | -1) => void} zoom looks at the picture from nearer, or from further away
 * @property {() => void} fit shows all of it
 * @property {() => void} whole shows one pixel of it as one
 * @property {(at: Point) => void} reveal moves it where a place of it would be out of sight
 * @property {() => boolean} drawing whether something is being drawn just now
 * @property {() => void} undraw leaves that undone
 * @property {() => void} lift leaves undone what is under the pointer; corners that were set stay
 * @property {() => void} closeLine closes the line that goes around what is selected
 * @property {(act: () => void) => void} whenMarked does it once the marks that were set are answered
 * @property {() => boolean} marking whether they are not yet
 * @property {() => void} undo takes back a mark or a turn, where that can be
 * @property {() => void} redo does it again
 * @property {() => void} begin goes to the start page
 * @property {() => void} openFile goes to where files are opened
 * @property {() => void} copy puts the picture into the clipboard
 * @property {() => void} keep keeps the candidate
 * @property {() => void} run runs the turn
 * @property {() => void} cancel stops what runs
 * @property {(insists: boolean) => void} run_turns runs the turns of a sentence
 * @property {(text: string) => void} instruct takes a text as an instruction
 * @property {(part: "subject" | "background") => void} changes says that this part is meant to change
 * @property {(part: "subject" | "background", picture: File) => void} follow gives that part a picture to follow
 * @property {() => void} crop asks for the part of a picture that is too long
 * @property {() => void} leave leaves the turn that is being changed as it was
 * @property {(sent: { pictures: string[] }) => void} stageAgain brings candidates back
 * @property {(sent: { turn: string }) => void} jump goes to a turn
 * @property {() => void} sessions opens the list of sessions, or closes it
 * @property {() => boolean} isAmongSessions whether it is open
 * @property {(sid: string) => void} enter opens a session
 * @property {(sent: { sid: string, enter: boolean }) => void} bringBack takes a session out of the trash
 * @property {() => void} look asks for everything anew
 * @property {() => void} models opens the models dialog
 */

/** Those of the panels that are in the page by now. */
export const actions = /** @type {Actions} */ ({});
