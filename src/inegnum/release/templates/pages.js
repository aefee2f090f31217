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
  function read(area) {
    var block = area.closest("[data-indicator]");
    all(".on", block).forEach(function (e) { e.classList.remove("on"); });
    all('[data-geo="' + area.dataset.geo + '"]', block).forEach(function (e) { e.classList.add("on"); });
    var readout = block.querySelector(".readout");
    if (readout) { readout.textContent = area.querySelector("title").textContent; }
  }
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
