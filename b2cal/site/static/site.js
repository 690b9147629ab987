// What the pages do beyond htmx. All of it is an addition: without this file they work, in UTC and without ageing.
(() => {
  "use strict";

  // The reader's zone, told to the server once; a choice in the footer replaces it.
  if (!/(^|; )zone=/.test(document.cookie)) {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    if (zone) document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`;
  }

  // How old is what you see? Red when the server stopped answering.
  const age = document.getElementById("age");
  let seen = Date.now();
  let answer = 200;
  const tell = () => {
    const seconds = Math.round((Date.now() - seen) / 1000);
    const old = seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min`;
    const ended = !document.querySelector("[data-live]");
    const late = !ended && (seconds > 20 || answer === 401);
    age.classList.toggle("late", late);
    if (ended) age.textContent = "ended: nothing here changes any more";
    else if (answer === 401) age.textContent = "not live: you were signed out";
    else if (late) age.textContent = `not live: b2cal has not answered for ${old}`;
    else age.textContent = `live · data ${old} old`;
  };
  if (age && document.querySelector("[data-live]")) setInterval(tell, 1000);

  document.addEventListener("htmx:after:request", (event) => {
    const { ctx } = event.detail;
    if (!ctx?.sourceElement?.matches?.("[data-live]")) return;
    answer = ctx.response?.status ?? 0;
    if (answer < 300) seen = Date.now();
  });

  // A page whose forms belong to an earlier state says so; it renews itself unless something was typed in.
  let typed = false;
  document.addEventListener("input", () => { typed = true; });
  document.addEventListener("htmx:after:swap", () => {
    const current = document.querySelector("[data-live] [data-version]")?.dataset.version;
    const shown = document.querySelector("[data-shown-version]");
    if (!current || !shown || current === shown.dataset.shownVersion) return;
    if (typed) document.getElementById("changed")?.removeAttribute("hidden");
    else location.reload();
  });

  // Preferences take effect when chosen; the button is for those without JavaScript.
  for (const select of document.querySelectorAll("form[data-immediate] select")) {
    select.addEventListener("change", () => select.form.submit());
  }
  for (const button of document.querySelectorAll("form[data-immediate] button")) button.hidden = true;

  // Configuration: mark what differs from its default; put one key back without asking the server.
  const mark = (input) => {
    const changed = input.value.replaceAll("\r\n", "\n") !== input.dataset.default;
    input.closest("tr").querySelector("[data-this]").classList.toggle("changed", changed);
    input.closest("tr").querySelector(".reset").hidden = !changed;
  };
  for (const input of document.querySelectorAll("[data-default]")) {
    input.addEventListener("input", () => mark(input));
  }
  for (const button of document.querySelectorAll(".reset")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const input = button.closest("tr").querySelector("[data-default]");
      input.value = input.dataset.default;
      mark(input);
      input.focus();
    });
  }

  // A graph that is wider than its frame shows first what needs eyes.
  const graph = document.querySelector(".graph");
  const urgent = graph?.querySelector(".bad, .ask, .busy, .open");
  if (urgent) {
    const frame = graph.parentElement;
    const { left, width } = urgent.getBoundingClientRect();
    frame.scrollLeft += left + width / 2 - frame.getBoundingClientRect().left - frame.clientWidth / 2;
  }

  // A log opens at its end unless the address names a line, and stays there while it grows.
  const toEnd = () => document.getElementById("end")?.scrollIntoView({ block: "end" });
  if (!location.hash) toEnd();
  let atEnd = false;
  document.addEventListener("htmx:before:swap", () => {
    const end = document.getElementById("end");
    atEnd = end !== null && end.getBoundingClientRect().top <= innerHeight;
  });
  document.addEventListener("htmx:after:swap", () => { if (atEnd) toEnd(); });
})();
