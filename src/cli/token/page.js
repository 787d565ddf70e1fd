"use strict";
// The answer of the server stands behind the # of this page's address, where only this page can read it.
const told = document.getElementById("told");
const answer = location.hash.slice(1);
// It must not stay in the address bar and the history.
history.replaceState(null, "", location.pathname);
if (answer === "") {
  told.textContent = "There is no answer in this address. Start again from the terminal.";
} else {
  fetch(location.pathname, {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: answer,
    credentials: "omit",
    redirect: "error",
  })
    .then((reply) => reply.text())
    .then((text) => { told.textContent = text; })
    .catch(() => { told.textContent = "Nothing waits for this answer any more. Start again from the terminal."; });
}
