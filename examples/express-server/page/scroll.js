// Keeps the newest text in view, unless the reader has scrolled away.

import { byId } from './dom.js';

/** Distances below this count as the end. */
const nearPixels = 80;
/** Space above an answer whose beginning is at the top of the view. */
const marginPixels = 12;

const messages = () => byId('messages');

let following = true;
/** The answer that is being written; its beginning is never pushed out of view. */
let anchor;
/** Where this file scrolled to last, to distinguish its own scrolling from the reader's. */
let expectedTop = -1;

const distanceToEnd = () => messages().scrollHeight - messages().scrollTop - messages().clientHeight;

function showButton() {
  byId('to-latest').hidden = distanceToEnd() < nearPixels;
}

function scrollTo(top) {
  messages().scrollTop = top;
  expectedTop = messages().scrollTop;
  showButton();
}

/** Scrolls to the end at once, and follows `answer` from now on if it is given. */
export function scrollToLatest(answer) {
  anchor = answer;
  following = true;
  scrollTo(messages().scrollHeight);
}

/** Called when the content has grown. */
export function followLatest() {
  if (!following) {
    showButton();
    return;
  }
  const end = messages().scrollHeight;
  const limit = anchor?.isConnected
    ? anchor.getBoundingClientRect().top -
      messages().getBoundingClientRect().top +
      messages().scrollTop -
      marginPixels
    : end;
  scrollTo(Math.min(end, Math.max(limit, 0)));
}

export function setUpScrolling() {
  messages().addEventListener('scroll', () => {
    showButton();
    if (Math.abs(messages().scrollTop - expectedTop) < 2) return;
    following = distanceToEnd() < nearPixels;
  });
  byId('to-latest').addEventListener('click', () => scrollToLatest());
  addEventListener('resize', followLatest);
}
