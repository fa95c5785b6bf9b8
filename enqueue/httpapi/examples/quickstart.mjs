// One top-up by Node's fetch: posted, then waited for. Whatever goes wrong on the way,
// repeat it with the same customIdentifier: it is never paid twice.
const url = "http://127.0.0.1:8080";
const headers = { Authorization: "Bearer YOUR_CLIENT_SECRET", "Content-Type": "application/json" };

const posted = await fetch(url + "/v1/topups", {
  method: "POST",
  headers,
  body: JSON.stringify({
    operatorId: 1100,
    amount: 832,
    customIdentifier: "airtime-top-up-node",
    recipientPhone: { countryCode: "AE", number: "0503971823" },
  }),
});
if (!posted.ok) {
  const problem = await posted.json(); // RFC 9457: code is for programs, detail for people
  throw new Error(`${problem.code}: ${problem.detail}`);
}
const result = await fetch(url + posted.headers.get("Location") + "?wait=30s", { headers });
console.log(JSON.stringify(await result.json()));
