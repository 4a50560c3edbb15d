for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => {
    const text = button.parentElement.querySelector("code").textContent;
    const done = () => { button.textContent = "copied"; };
    const choose = () => { getSelection().selectAllChildren(button.parentElement.querySelector("code")); };
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done, choose); } else { choose(); }
  });
}
