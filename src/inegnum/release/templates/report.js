// Shows one indicator and one metric at a time; without it the page shows them all.
"use strict";
(function () {
  var pick = document.getElementById("indicator");
  var form = document.getElementById("controls");
  function all(selector, root) { return Array.prototype.slice.call((root || document).querySelectorAll(selector)); }
  function metric() { return form.querySelector("input[name=metric]:checked").value; }
  function show() {
    all("[data-indicator]").forEach(function (e) { e.hidden = e.dataset.indicator !== pick.value; });
    all("[data-metric]").forEach(function (e) { e.hidden = e.dataset.metric !== metric(); });
  }
  function read(area) {
    var block = area.closest("[data-indicator]");
    all(".on", block).forEach(function (e) { e.classList.remove("on"); });
    all('[data-geo="' + area.dataset.geo + '"]', block).forEach(function (e) { e.classList.add("on"); });
    block.querySelector(".readout").textContent = area.querySelector("title").textContent;
  }
  form.addEventListener("change", show);
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  document.addEventListener("click", function (event) {
    var area = event.target.closest("svg.map .area");
    var go = event.target.closest("[data-go]");
    var card = event.target.closest("[data-card] a");
    if (area) { read(area); }
    if (go) { form.querySelector("input[value=" + go.dataset.go + "]").checked = true; show(); }
    if (card) { pick.value = card.closest("[data-card]").dataset.card; show(); }
  });
  show();
})();
