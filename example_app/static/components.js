// Shows the events of the components, as any page of a host could use them.
const heard = document.getElementById("heard");
const told = {
  "ailydian-prediction": ({ answer }) => `${answer.prediction} ${answer.confidence}`,
  "ailydian-answer": ({ answer }) => `${answer.backend} (${answer.reason})`,
  "ailydian-rating": ({ rating }) => `${rating} / 5`,
  "ailydian-error": ({ error, status }) => `${error} ${status || ""}`,
};

for (const [name, say] of Object.entries(told)) {
  document.addEventListener(name, (event) => {
    const item = document.createElement("li");
    const code = document.createElement("code");
    code.textContent = name;
    item.append(code, ` ${say(event.detail)}`);
    heard.prepend(item);
    while (heard.children.length > 8) heard.lastChild.remove();
  });
}
