// Sorting, filters and the table of all records; it needs no library.
// Values from the results enter the page as text nodes, never as HTML.
"use strict";
(function () {
  var PAGE = 50;
  function number(text) {
    if (text.indexOf("\u221e") >= 0) return text.charAt(0) === "-" ? -Infinity : Infinity;
    var value = parseFloat(text.replace(/[,%\s]/g, ""));
    return isNaN(value) ? null : value;
  }
  function compare(a, b) {
    if (a === b) return 0;
    if (a === null || a === "") return 1;
    if (b === null || b === "") return -1;
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), undefined, {numeric: true});
  }
  function blank(value) { return value === null || value === ""; }
  function order(a, b, up) {
    if (blank(a) || blank(b)) return compare(a, b);
    return up ? compare(a, b) : compare(b, a);
  }
  function onHeader(head, act) {
    head.tabIndex = 0;
    head.addEventListener("click", act);
    head.addEventListener("keydown", function (event) {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
    });
  }
  function mark(heads, chosen, up) {
    heads.forEach(function (head) { head.removeAttribute("aria-sort"); });
    if (chosen) chosen.setAttribute("aria-sort", up ? "ascending" : "descending");
  }

  document.querySelectorAll("table.sortable").forEach(function (table) {
    var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
    heads.forEach(function (head, place) {
      onHeader(head, function () {
        var up = head.getAttribute("aria-sort") !== "ascending";
        var numeric = head.classList.contains("number");
        var body = table.tBodies[0];
        var rows = Array.prototype.slice.call(body.rows).map(function (row) {
          var cell = row.cells[place];
          var text = cell.dataset.value !== undefined ? cell.dataset.value : cell.textContent;
          return [numeric ? number(text) : text, row];
        });
        rows.sort(function (a, b) { return order(a[0], b[0], up); });
        rows.forEach(function (pair) { body.appendChild(pair[1]); });
        mark(heads, head, up);
      });
    });
  });

  document.querySelectorAll("input[data-filters]").forEach(function (input) {
    var table = document.getElementById(input.dataset.filters);
    input.addEventListener("input", function () {
      var words = input.value.toLowerCase().split(/\s+/);
      Array.prototype.forEach.call(table.tBodies[0].rows, function (row) {
        var text = row.textContent.toLowerCase();
        row.hidden = !words.every(function (word) { return text.indexOf(word) >= 0; });
      });
    });
  });

  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });

  var source = document.getElementById("records");
  if (!source) return;
  var data = JSON.parse(source.textContent);
  var columns = data.columns.map(function (column) {
    if (!column.codes) return column;
    column.values = column.codes.map(function (code) { return column.words[code]; });
    return column;
  });
  var count = data.rows, texts = null, shown = null, page = 0, sorted = null, rising = true;
  var table = document.getElementById("all-records");
  var search = document.getElementById("search-records");
  var status = document.getElementById("found-records");
  var selects = Array.prototype.slice.call(document.querySelectorAll("select[data-column]"));
  var back = document.getElementById("back"), next = document.getElementById("next");

  function text(row) {
    if (!texts) texts = new Array(count);
    if (texts[row] === undefined) {
      texts[row] = columns.map(function (column) { return column.values[row]; })
        .join("\u0000").toLowerCase();
    }
    return texts[row];
  }
  function select() {
    var words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    var chosen = selects.filter(function (each) { return each.value !== ""; })
      .map(function (each) {
        return [columns[Number(each.dataset.column)].values, JSON.parse(each.value)];
      });
    shown = [];
    for (var row = 0; row < count; row++) {
      if (chosen.every(function (pair) { return pair[0][row] === pair[1]; }) &&
          (!words.length || words.every(function (w) { return text(row).indexOf(w) >= 0; }))) {
        shown.push(row);
      }
    }
    if (sorted !== null) {
      var values = columns[sorted].values;
      shown.sort(function (a, b) { return order(values[a], values[b], rising) || a - b; });
    }
    page = 0;
    draw();
  }
  function draw() {
    var body = table.tBodies[0];
    body.textContent = "";
    shown.slice(page * PAGE, (page + 1) * PAGE).forEach(function (row) {
      var line = body.insertRow();
      columns.forEach(function (column) {
        var cell = line.insertCell();
        var value = column.values[row];
        cell.textContent = value === null ? "" : String(value);
        if (column.kind) cell.className = column.kind;
        if (column.kind === "name" && String(value).length > 32) cell.className = "name long";
      });
    });
    var pages = Math.max(Math.ceil(shown.length / PAGE), 1);
    status.textContent = shown.length.toLocaleString("en") + " of " + count.toLocaleString("en") +
      " records, page " + (page + 1) + " of " + pages;
    back.disabled = page === 0;
    next.disabled = page >= pages - 1;
  }
  var line = table.tHead.insertRow(), heads = [];
  columns.forEach(function (column, place) {
    var head = document.createElement("th");
    head.textContent = column.name;
    if (column.kind) head.className = column.kind;
    line.appendChild(head);
    heads.push(head);
    onHeader(head, function () {
      rising = sorted === place ? !rising : true;
      sorted = place;
      mark(heads, head, rising);
      select();
    });
  });
  search.addEventListener("input", select);
  selects.forEach(function (each) {
    var words = columns[Number(each.dataset.column)].words || [];
    words.slice().sort(compare).forEach(function (word) {
      var option = document.createElement("option");
      option.value = JSON.stringify(word);
      option.textContent = word === "" || word === null ? "(empty)" : String(word);
      each.appendChild(option);
    });
    each.addEventListener("change", select);
  });
  function choose(label, word) {
    var each = selects.find(function (one) { return one.getAttribute("aria-label") === label; });
    if (each) each.value = JSON.stringify(word);
    else search.value = (search.value + " " + word).trim();
  }
  document.querySelectorAll("table.grid").forEach(function (grid) {
    grid.addEventListener("click", function (event) {
      var cell = event.target.closest("td.number");
      if (!cell) return;
      selects.forEach(function (each) { each.value = ""; });
      search.value = "";
      choose("framework", grid.tHead.rows[0].cells[cell.cellIndex].textContent);
      choose("data set", cell.parentNode.cells[0].textContent);
      select();
      document.getElementById("every").scrollIntoView();
    });
  });
  back.addEventListener("click", function () { page--; draw(); });
  next.addEventListener("click", function () { page++; draw(); });
  select();
}());
