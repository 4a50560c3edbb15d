for (const copy of document.querySelectorAll("[data-copy]")) {
  copy.addEventListener("click", () => {
    const code = copy.parentElement.querySelector("code");
    const done = () => { copy.textContent = "copied"; };
    const choose = () => { getSelection().selectAllChildren(code); };
    if (navigator.clipboard) { navigator.clipboard.writeText(code.textContent).then(done, choose); } else { choose(); }
  });
}
// What is folded is printed, too; afterwards it is folded as before.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")];
  for (const part of unfolded) part.open = true;
});
addEventListener("afterprint", () => { for (const part of unfolded) part.open = false; });
// A link to what is folded opens it.
const unfold = () => {
  const found = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (found && found.tagName === "DETAILS") found.open = true;
};
addEventListener("hashchange", unfold);
unfold();
