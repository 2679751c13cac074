// Logging in: by the one-time token that a link carries behind its "#", which browsers send to nobody,
// by the session that the browser still has, by email and password, or by registering where that is
// open. Then the browser goes on to the market. The refresh token stays in a cookie that no script can
// read; the access token is kept in this module, for setting a password, and nowhere else.

const views = ["login", "register", "choose"].map((id) => document.getElementById(id));
const notice = document.getElementById("notice");
const working = document.getElementById("working");
const [login, register, choose] = views;
let access = null;
let place = null;

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered with status ${status}.`);
    this.status = status;
    this.errors = problem.errors ?? [];
  }
}

// No cookie came, or the session that it belongs to has ended.
const isSessionless = (error) => error.status === 400 || error.status === 401;

// GET without a body, POST with one.
async function ask(path, body) {
  const options = { credentials: "same-origin", redirect: "error", headers: {} };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  if (access !== null) options.headers.Authorization = `Bearer ${access}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), options);
  } catch {
    throw new Refused(0, { detail: "The server cannot be reached. Does it run?" });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

// One tab of this browser after the other: of two answers, the older must not stay in the cookie.
function refresh() {
  const work = () => ask("api/auth/refresh", {});
  return navigator.locks === undefined ? work() : navigator.locks.request("deltastream-refresh", work);
}

// To the market page beside this one, whatever path they are served under. Where it goes on there, as
// "#next=/chain/NIFTY" says, is nothing but the part behind that page's "#": it leads to no other page.
function goOn() {
  const market = new URL("./", document.baseURI);
  if (place?.startsWith("/")) market.hash = place;
  location.replace(market);
}

function show(view) {
  working.hidden = true;
  for (const each of views) each.hidden = each !== view;
  const title = view.querySelector("h1");
  document.title = `${title.textContent} · DeltaStream`;
  (view.querySelector("input:not([hidden])") ?? title).focus();
}

function clear() {
  notice.hidden = true;
  for (const problem of document.querySelectorAll(".problem")) problem.textContent = "";
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

function tell(text) {
  notice.textContent = text;
  notice.hidden = false;
}

// What is wrong with a field stands at the field; whatever has no field here stands on top.
function explain(error, form) {
  const elsewhere = [];
  for (const { field, message } of error.errors ?? []) {
    const input = form?.elements.namedItem(field.replace(/^\//, ""));
    const problem = input && document.getElementById(`${input.id}-problem`);
    if (problem) {
      problem.textContent = message;
      input.setAttribute("aria-invalid", "true");
    } else {
      elsewhere.push(message);
    }
  }
  if (elsewhere.length > 0 || !error.errors?.length) tell(elsewhere.join(" ") || error.message);
  form?.querySelector("[aria-invalid]")?.focus();
}

// Whether somebody new may come in, what a password must be, and whether there is a cookie. Without an
// answer the page does without: what is asked of the server next tells what is wrong with it.
async function learn() {
  const rules = await ask("api/auth/registration").catch(() => null);
  document.getElementById("newcomers").hidden = rules?.open !== true;
  if (rules === null) return null;
  const { minimum } = rules.password;
  for (const input of document.querySelectorAll("[autocomplete=new-password]")) input.minLength = minimum;
  for (const rule of document.querySelectorAll(".rule")) {
    rule.textContent = `${minimum} characters or more; a few words are easy to keep.`;
  }
  return rules;
}

function onSubmit(view, work) {
  const form = view.querySelector("form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("[type=submit]");
    clear();
    button.disabled = true;
    try {
      await work(Object.fromEntries(new FormData(form)));
      goOn();
    } catch (error) {
      button.disabled = false;
      explain(error, form);
    }
  });
}

function onClick(id, work) {
  document.getElementById(id).addEventListener("click", () => {
    clear();
    work();
  });
}

onSubmit(login, ({ email, password }) => ask("api/auth/login", { email, password, cookie: true }));
onSubmit(register, ({ name, email, password }) =>
  ask("api/auth/register", { name, email, password, cookie: true }));
onSubmit(choose, ({ password }) => ask("api/auth/password", { password, cookie: true }));
onClick("to-register", () => show(register));
onClick("to-login", () => show(login));
onClick("later", goOn);

async function byLink(token) {
  const left = place === null ? "" : `#${new URLSearchParams({ next: place })}`;
  history.replaceState(null, "", location.pathname + left); // nobody reads it off the screen or the history
  access = null;
  const rules = learn();
  try {
    const { token: fresh, user } = await ask("api/auth/link", { token, cookie: true });
    access = fresh;
    choose.querySelector("[name=username]").value = user.email;
    await rules;
    show(choose);
  } catch (error) {
    await rules;
    show(login);
    explain(error);
  }
}

async function bySession() {
  const rules = await learn();
  if (rules?.cookie === false) {
    show(login);
    return;
  }
  try {
    await refresh();
    goOn();
  } catch (error) {
    show(login);
    if (!isSessionless(error)) explain(error); // nobody has to be told that a session is over
  }
}

function arrive() {
  clear();
  const told = new URLSearchParams(location.hash.slice(1));
  const token = told.get("token");
  place = told.get("next");
  return token === null ? bySession() : byLink(token);
}

addEventListener("hashchange", () => { if (location.hash) arrive(); });
arrive();
