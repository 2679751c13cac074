// Logging in: by the one-time token that a link carries behind its "#", which browsers send to nobody,
// by the session that the browser still has, or by email and password. The refresh token stays in a
// cookie that no script can read; the access token is kept in this module and nowhere else.

const views = ["login", "choose", "inside"].map((id) => document.getElementById(id));
const notice = document.getElementById("notice");
const working = document.getElementById("working");
const [login, choose, inside] = views;
let access = null;

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? `The server answered with status ${status}.`);
    this.status = status;
    this.errors = problem.errors ?? [];
  }
}

// No cookie came, or the session that it belongs to has ended.
const isSessionless = (error) => error.status === 400 || error.status === 401;

async function post(path, body) {
  const headers = { "Content-Type": "application/json" };
  if (access !== null) headers.Authorization = `Bearer ${access}`;
  let response;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method: "POST", headers, body: JSON.stringify(body), credentials: "same-origin", redirect: "error",
    });
  } catch {
    throw new Refused(0, { detail: "The server cannot be reached. Does it run?" });
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
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

function enter({ token, user }) {
  access = token;
  document.getElementById("who-name").textContent = user.name;
  document.getElementById("who-email").textContent = user.email;
  document.getElementById("who-role").textContent = user.role;
  choose.querySelector("[name=username]").value = user.email;
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
      form.reset();
    } catch (error) {
      explain(error, form);
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit(login, async ({ email, password }) => {
  enter(await post("api/auth/login", { email, password, cookie: true }));
  show(inside);
});

onSubmit(choose, async ({ password }) => {
  enter(await post("api/auth/password", { password, cookie: true }));
  show(inside);
});

onSubmit(inside, async () => {
  access = null;
  try {
    await post("api/auth/logout", {});
  } catch (error) {
    if (!isSessionless(error)) throw error;
  }
  show(login);
});

document.getElementById("later").addEventListener("click", () => {
  clear();
  show(inside);
});

async function arrive() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  clear();
  if (token !== null) {
    history.replaceState(null, "", location.pathname); // nobody reads it off the screen or the history
    access = null;
    try {
      enter(await post("api/auth/link", { token, cookie: true }));
      show(choose);
    } catch (error) {
      show(login);
      explain(error);
    }
    return;
  }
  try {
    enter(await post("api/auth/refresh", {}));
    show(inside);
  } catch (error) {
    show(login);
    if (!isSessionless(error)) explain(error); // a first visit is no mistake
  }
}

addEventListener("hashchange", () => { if (location.hash) arrive(); });
arrive();
