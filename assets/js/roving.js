// A row of buttons that is one stop of the Tab key: the arrow keys walk along it.
window.palimpsest.roving = (group, selector, choose = null) => {
  const BY = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };
  const items = () => [...group.querySelectorAll(selector)].filter((node) => !node.disabled && !node.hidden);

  /** Leaves one of the items to Tab: the one it goes to now where that can be, else the first. */
  function settle(wanted = null) {
    const all = items(), stop = all.includes(wanted) ? wanted : all.find((node) => node.tabIndex === 0) || all[0];
    for (const node of group.querySelectorAll(selector)) node.tabIndex = node === stop ? 0 : -1;
  }

  group.addEventListener("focusin", (event) => { if (event.target.matches(selector)) settle(event.target); });
  group.addEventListener("keydown", (event) => {
    const all = items(), at = all.indexOf(event.target);
    const to = event.key in BY ? at + BY[event.key] : { Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const next = all[(to + all.length) % all.length];
    next.focus();
    if (choose) choose(next);
  });
  return settle;
};
