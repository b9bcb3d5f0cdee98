import { useState } from "react";

/** @type {import("../../../flask_ailydian/web/static/ailydian").AilydianModel[]} */
const MODELS = [
  {
    name: "chest-xray-classifier-demo",
    task: "image-classification",
    domain: "medical",
    status: "testing",
    description: "A teaching model for chest X-rays. Not for diagnosis.",
  },
];

export function App() {
  const [said, say] = useState("nothing yet");
  return (
    <main className="wrap stack">
      <h1>The same elements in React</h1>
      <p className="lead">
        The panel says: <output>{said}</output>
      </p>
      <ailydian-panel
        models={MODELS}
        explain
        onailydian-prediction={(event) =>
          say(`${event.detail.answer.prediction} ${event.detail.answer.confidence}`)
        }
        onailydian-error={(event) => say(event.detail.title)}
      />
      <ailydian-ask
        domain="chat"
        placeholder="Randevu almak istiyorum"
        onailydian-answer={(event) => say(event.detail.answer.answer)}
      />
    </main>
  );
}
