// Shows what the selectors ask for; without it a page shows everything.
"use strict";
(function () {
  var form = document.getElementById("controls");
  function all(selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)); }
  function value(name) {
    var field = form.querySelector("select[name=" + name + "]") || form.querySelector("input[name=" + name + "]:checked");
    return field ? field.value : null;
  }
  function show() {
    ["indicator", "metric", "level"].forEach(function (name) {
      var wanted = value(name);
      if (wanted === null) { return; }
      all("[data-" + name + "]").forEach(function (e) { e.hidden = e.getAttribute("data-" + name) !== wanted; });
    });
  }
  function choose(code) { form.querySelector("select[name=indicator]").value = code; show(); }
  // The sentence of an area stands once in its block, in the map of rates.
  function sentence(area) {
    var block = area.closest("[data-indicator]");
    var said = area.querySelector("title") || block.querySelector('.area[data-geo="' + area.dataset.geo + '"] title');
    return said ? said.textContent : "";
  }
  function read(area) {
    var block = area.closest("[data-indicator]");
    all(".on", block).forEach(function (e) { e.classList.remove("on"); });
    all('[data-geo="' + area.dataset.geo + '"]', block).forEach(function (e) { e.classList.add("on"); });
    var readout = area.closest("figure").parentNode.querySelector(".readout");
    if (readout) { readout.textContent = sentence(area); }
  }
  var tip = document.createElement("div");
  tip.className = "tip";
  tip.setAttribute("aria-hidden", "true");
  tip.hidden = true;
  document.body.appendChild(tip);
  function point(event) {
    var area = event.target.closest ? event.target.closest("svg.map .area") : null;
    tip.hidden = !area || event.pointerType === "touch";
    if (tip.hidden) { return; }
    tip.textContent = sentence(area);
    tip.style.left = Math.max(Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8), 4) + "px";
    tip.style.top = Math.max(Math.min(event.clientY + 16, window.innerHeight - tip.offsetHeight - 8), 4) + "px";
  }
  document.addEventListener("pointermove", point);
  if (form) {
    form.addEventListener("change", show);
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    document.addEventListener("click", function (event) {
      var area = event.target.closest("svg.map .area");
      var go = event.target.closest("[data-go]");
      var card = event.target.closest("[data-card] a");
      if (area) { read(area); }
      if (go) { form.querySelector("input[value=" + go.dataset.go + "]").checked = true; show(); }
      if (card) { choose(card.closest("[data-card]").dataset.card); }
    });
    show();
  }
  var search = document.getElementById("search");
  if (search) {
    var plain = function (text) { return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase().replace(/[-'\u2019]/g, " ").trim(); };
    search.addEventListener("submit", function (event) {
      event.preventDefault();
      var asked = plain(search.querySelector("input").value);
      var links = all("#communes-list a");
      var found = links.filter(function (a) { return plain(a.textContent) === asked; })
        .concat(links.filter(function (a) { return asked && plain(a.textContent).indexOf(asked) >= 0; }))[0];
      if (found) { window.location.href = found.getAttribute("href"); }
      else { search.querySelector("[role=status]").textContent = search.dataset.none; }
    });
  }
})();
