// Two communes side by side, from differences computed draw by draw when the site was built.
"use strict";
(function () {
  var texts = JSON.parse(document.getElementById("texts").textContent);
  var say = texts.phrases;
  var first = document.getElementById("first");
  var second = document.getElementById("second");
  var body = document.querySelector("#pair-table tbody");
  var hidden = document.getElementById("hidden-pairs");
  function fill(phrase, slots) { return phrase.replace(/\{(\w+)\}/g, function (_, name) { return slots[name]; }); }
  function points(thousandths) {
    var whole = Math.floor(Math.abs(thousandths) / 10 + 0.5);
    return whole === 0 ? "0" : (thousandths > 0 ? "+" : "\u2212") + whole;
  }
  function chances(p) {
    if (p < 50) { return say.chances_hardly; }
    if (p > 950) { return say.chances_almost; }
    var tenths = Math.min(Math.max(Math.floor(p / 100 + 0.5), 1), 9);
    return tenths === 1 ? say.chances_one : fill(say.chances_of_ten, { tenths: tenths });
  }
  function name(select) { return select.options[select.selectedIndex].text; }
  function difference(code) {
    var table = window.INEGNUM_DIFFERENCES[code];
    if (first.value === second.value) { return say.same; }
    var ahead = table[first.value + "|" + second.value];
    var behind = table[second.value + "|" + first.value];
    if (!ahead && !behind) { return null; }
    var d = ahead || [-behind[0], -behind[2], -behind[1], 1000 - behind[3]];
    var one = Math.floor(Math.abs(d[0]) / 10 + 0.5) <= 1;
    var gap = fill(one ? say.gap_one : say.gap, { gap: points(d[0]), lower: points(d[1]), upper: points(d[2]) });
    var chance = fill(say.difference, { gap: gap, name: name(first), chances: chances(d[3]) });
    return chance + " " + (d[1] <= 0 && d[2] >= 0 ? say.unclear : say.clear);
  }
  function cell(tag, text, css) {
    var made = document.createElement(tag);
    made.textContent = text;
    if (css) { made.className = css; }
    if (tag === "th") { made.scope = "row"; }
    return made;
  }
  function show() {
    document.getElementById("first-head").textContent = name(first);
    document.getElementById("second-head").textContent = name(second);
    body.textContent = "";
    var withheld = [];
    texts.indicators.forEach(function (pair) {
      var said = difference(pair[0]);
      if (said === null) { withheld.push(pair[1]); return; }
      var row = document.createElement("tr");
      row.appendChild(cell("th", pair[1]));
      row.appendChild(cell("td", texts.rates[pair[0]][first.value], "num"));
      row.appendChild(cell("td", texts.rates[pair[0]][second.value], "num"));
      row.appendChild(cell("td", said, "text"));
      body.appendChild(row);
    });
    hidden.hidden = withheld.length === 0;
    hidden.textContent = fill(say.hidden, { list: withheld.join(", ") });
  }
  // A commune's own page asks for it by its code.
  var asked = window.location.hash.slice(1);
  if (asked && first.querySelector('option[value="' + CSS.escape(asked) + '"]')) {
    first.value = asked;
    if (second.value === asked) { second.selectedIndex = 0; }
  }
  document.getElementById("pair").addEventListener("change", show);
  show();
})();
