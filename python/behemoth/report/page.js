// Draws the charts that stand in the page as JSON, and lets a figure's legend pick one of its entries.
const options = { renderer: "svg", actions: { export: true, source: false, compiled: false, editor: false } };
for (const figure of document.querySelectorAll("figure[data-figure]")) {
  const views = [];
  for (const place of figure.querySelectorAll(".chart")) {
    const spec = JSON.parse(document.getElementById(place.dataset.spec).textContent);
    vegaEmbed(place, spec, { ...options, downloadFileName: figure.dataset.figure }).then(
      (result) => {
        views.push(result.view);
        place.dataset.drawn = "true";
      },
      (error) => {
        place.textContent = "This chart could not be drawn: " + error.message;
        console.error(error);
      },
    );
  }
  const buttons = [...figure.querySelectorAll(".legend button")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const chosen = button.getAttribute("aria-pressed") === "true" ? "" : button.dataset.entry;
      for (const other of buttons)
        other.setAttribute("aria-pressed", String(chosen !== "" && other.dataset.entry === chosen));
      for (const view of views) view.signal("only", chosen).runAsync();
    });
  }
}

// Tables, panels and legends that go on to the right or below say so (page.css).
for (const part of document.querySelectorAll(".table, .panels.many, .legend")) {
  const look = () => {
    part.classList.toggle("right", part.scrollLeft + part.clientWidth < part.scrollWidth - 1);
    part.classList.toggle("below", part.scrollTop + part.clientHeight < part.scrollHeight - 1);
  };
  part.addEventListener("scroll", look, { passive: true });
  new ResizeObserver(look).observe(part); // also when a closed part is opened
}

// A link to a method opens its closed part, and paper has the parts of all methods.
const open = () => {
  const part = location.hash && document.getElementById(location.hash.slice(1))?.querySelector("details.own");
  if (part) part.open = true;
};
window.addEventListener("hashchange", open);
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.own")) part.open = true;
});
open();

// Of the single edits one is shown: that of the fact and the method that are chosen.
const form = document.querySelector("form.choose");
if (form) {
  const show = () => {
    for (const each of document.querySelectorAll(".case"))
      each.hidden = each.dataset.fact !== form.elements.fact.value ||
        each.dataset.method !== form.elements.method.value;
  };
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", show);
  show();
}
