"use strict";
// Draws /api/overview every two seconds while the page is visible. Everything that comes from the
// cluster enters the page as text nodes or as checked http(s) links, never as markup.

const INTERVAL = 2000;
const $ = (id) => document.getElementById(id);

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.map((child) => (child instanceof Node ? child : String(child))));
  return node;
}

function link(url, text) {
  return /^https?:\/\//i.test(url) ? el("a", { href: url, rel: "noopener noreferrer" }, text) : text;
}

const cell = (content, kind = "") => el("td", kind ? { class: kind } : {}, content);
const cpus = (value) => (Math.round(value * 100) / 100).toString();
const memory = (mib) => (mib >= 1024 ? `${(mib / 1024).toFixed(1)} GiB` : `${Math.round(mib)} MiB`);

function since(seconds) {
  if (!seconds) return "";
  const age = Math.max(0, Date.now() / 1000 - seconds);
  if (age < 90) return `${Math.round(age)} s`;
  if (age < 5400) return `${Math.round(age / 60)} min`;
  return age < 129600 ? `${Math.round(age / 3600)} h` : `${Math.round(age / 86400)} d`;
}

function fill(id, rows, nothing) {
  const body = $(id).tBodies[0];
  const columns = $(id).tHead.rows[0].cells.length;
  body.replaceChildren(...(rows.length ? rows : [el("tr", { class: "empty" }, el("td", { colspan: columns }, nothing))]));
}

const TASK_TONE = { TASK_RUNNING: "good", TASK_FINISHED: "soft", TASK_KILLED: "soft", TASK_STAGING: "warn", TASK_STARTING: "warn", TASK_KILLING: "warn" };

function usage(used, total, show) {
  const span = el("span", {});
  span.append(el("progress", { max: total || 1, value: used }), `${show(used)} of ${show(total)}`);
  return span;
}

function health(app) {
  if (app.tasksUnhealthy) return cell(`${app.tasksUnhealthy} unhealthy`, "bad");
  return app.tasksHealthy ? cell(`${app.tasksHealthy} healthy`, "good") : cell("–", "soft");
}

function appState(app) {
  if (app.deployments.length) return cell("deploying", "warn");
  if (app.tasksRunning < app.instances) return cell(app.tasksStaged ? "starting" : "waiting", "warn");
  return app.instances ? cell("running", "good") : cell("suspended", "soft");
}

function draw(overview) {
  const down = overview.components.filter((component) => component.error);
  $("problem").hidden = !down.length;
  $("problem").textContent = down.map((component) => `${component.name}: ${component.error}`).join("\n");
  const paths = { master: "/master/state", marathon: "/v2/apps" };
  $("components").replaceChildren(...overview.components.map((component) =>
    el("span", { class: component.error ? "bad" : "" }, component.url ? link(component.url + paths[component.name], component.name) : component.name)));
  $("totals").replaceChildren(...Object.entries(overview.totals).map(([name, count]) =>
    el("div", { class: "total" }, el("b", {}, count), el("span", {}, name))));

  fill("apps", overview.apps.map((app) => el("tr", {}, cell(app.id, "name"), cell(app.tasksRunning, "n"),
    cell(app.instances, "n"), health(app), appState(app))), "No apps yet: headrace app create FILE");
  fill("frameworks", overview.frameworks.map((row) => el("tr", {}, cell(row.name, "name"), cell(row.role), cell(row.tasks, "n"),
    cell(cpus(row.cpus_used), "n"), cell(memory(row.mem_used), "n"),
    cell(row.active ? "active" : "disconnected", row.active ? "good" : "warn"),
    cell(row.url ? link(row.url, "open") : "–", row.url ? "" : "soft"))), "No frameworks");
  fill("tasks", overview.tasks.map((row) => {
    const button = el("button", { type: "button" }, "files");
    button.addEventListener("click", () => showFiles(row, ""));
    const state = el("td", { class: TASK_TONE[row.state] || "bad", title: row.message }, row.state.replace("TASK_", "").toLowerCase());
    return el("tr", {}, cell(row.id, "name"), cell(row.framework), cell(row.agent), state, cell(since(row.since)),
      cell(cpus(row.cpus), "n"), cell(memory(row.mem), "n"), cell(button));
  }), "No tasks");
  fill("agents", overview.agents.map((row) => el("tr", {}, cell(row.url ? link(row.url + "/state", row.hostname) : row.hostname),
    cell(row.id, "name"), cell(usage(row.cpus_used, row.cpus, cpus)), cell(usage(row.mem_used, row.mem, memory)),
    cell(row.active ? "active" : "inactive", row.active ? "good" : "warn"))), "No agents");
}

async function getOrThrow(url) {
  const answer = await fetch(url, { cache: "no-store" });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Error(body.message || `${url} answered ${answer.status}`);
}

async function showFiles(task, directory) {
  const base = `/api/tasks/${encodeURIComponent(task.framework_id)}/${encodeURIComponent(task.id)}/files`;
  $("files-title").textContent = task.id + (directory && ` / ${directory}`);
  $("files-text").hidden = true;
  $("files-list").replaceChildren("loading …");
  if (!$("files").open) $("files").showModal();
  try {
    const rows = await (await getOrThrow(`${base}?path=${encodeURIComponent(directory)}`)).json();
    const buttons = rows.map((row) => {
      const path = directory ? `${directory}/${row.name}` : row.name;
      const button = el("button", { type: "button", title: `${row.size} bytes` }, row.directory ? `${row.name}/` : row.name);
      button.addEventListener("click", () => (row.directory ? showFiles(task, path) : showText(base, path)));
      return button;
    });
    $("files-list").replaceChildren(...(buttons.length ? buttons : ["The sandbox is empty."]));
  } catch (error) {
    $("files-list").replaceChildren(error.message);
  }
}

async function showText(base, path) {
  const pre = $("files-text");
  pre.hidden = false;
  pre.textContent = "loading …";
  try {
    const text = await (await getOrThrow(`${base}/${path.split("/").map(encodeURIComponent).join("/")}`)).text();
    pre.textContent = text || "(empty)";
    pre.scrollTop = pre.scrollHeight;
  } catch (error) {
    pre.textContent = error.message;
  }
}

async function tick() {
  if (!document.hidden) {
    try {
      draw(await (await getOrThrow("/api/overview")).json());
      $("live").textContent = `live · ${new Date().toLocaleTimeString()}`;
    } catch (error) {
      $("live").textContent = "no answer";
      $("problem").hidden = false;
      $("problem").textContent = `The gateway does not answer: ${error.message}`;
    }
  }
  setTimeout(tick, INTERVAL);
}

$("files-close").addEventListener("click", () => $("files").close());
document.addEventListener("visibilitychange", () => { if (!document.hidden) $("live").textContent = "…"; });
tick();
