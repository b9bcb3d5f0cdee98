// Sunucunun İngilizce kurduğu cümleler, Türkçe olarak.

const metric = (name, key) => name("metric", key).toLocaleLowerCase("tr");
const units = { users: "kullanıcıdan", requests: "istekten" };
const states = (text, name) =>
  text.replace(
    /\((active|testing|inactive)\)/g,
    (_, state) => `(${name("status", state).toLocaleLowerCase("tr")})`,
  );

/** A pattern, and what it is in Turkish; `name` gives the words for one of a family of keys. */
export const sentences = [
  [
    /^The arms did not get the shares that were planned \(p = (.+)\)/,
    ([, p]) =>
      `Kollar planlanan payları almadı (p = ${p}): kimin sayıldığını bir şey etkiliyor, bu yüzden buradaki hiçbir sayıya dayanılamaz.`,
  ],
  [
    /^No difference in (\w+) has been shown\.$/,
    ([, key], name) => `Fark gösterilemedi: ${metric(name, key)}.`,
  ],
  [
    /^The difference in (\w+) is shown, and every guardrail holds\.$/,
    ([, key], name) => `Fark gösterildi (${metric(name, key)}) ve bütün koruma sınırları tutuyor.`,
  ],
  [
    /^Arm B is worse in (\w+) by more than (.+)\.$/,
    ([, key, by], name) => `B kolu ${by} değerinden daha çok kötü: ${metric(name, key)}.`,
  ],
  [
    /^An arm has (\d+) of the (\d+) (\w+) it needs\.$/,
    ([, has, of, unit]) => `Bir kolda, gereken ${of} ${units[unit]} ${has} tanesi var.`,
  ],
  [/^(.+) of (.+) days have passed\.$/, ([, passed, of]) => `${of} günün ${passed} günü geçti.`],
  [
    /^It is not excluded that the better arm is worse in (\w+) by more than (.+)\.$/,
    ([, key, by], name) =>
      `İyi olan kolun ${by} değerinden daha çok kötü olmadığı kesin değil: ${metric(name, key)}.`,
  ],
  [
    /^The database answers; schema version (.+)\.$/,
    ([, version]) => `Veritabanı yanıt veriyor; şema sürümü ${version}.`,
  ],
  [
    /^The database does not answer \((.+)\)\.$/,
    ([, kind]) => `Veritabanı yanıt vermiyor (${kind}).`,
  ],
  [/^Table (\S+) is missing\.$/, ([, table]) => `${table} tablosu yok.`],
  [
    /^Table (\S+) lacks (.+)\.$/,
    ([, table, columns]) => `${table} tablosunda şunlar yok: ${columns}.`,
  ],
  [/^No model is active or testing\.$/, () => "Etkin ya da denemede model yok."],
  [/^The models cannot be read \((.+)\)\.$/, ([, kind]) => `Modeller okunamıyor (${kind}).`],
  [
    /^(\d+) loadable: (.+)\.$/,
    ([, count, names], name) => `${count} model yüklenebilir: ${states(names, name)}.`,
  ],
  [/^(\d+) loaded in this process\.$/, ([, count]) => `Bu süreçte ${count} model yüklü.`],
  [/^A model cannot be loaded: (.+)$/, ([, why]) => `Bir model yüklenemiyor: ${why}`],
  [/^Not looked at: the database comes first\.$/, () => "Bakılmadı: önce veritabanı gerekir."],
  [/^Serving\.$/, () => "Hizmet veriyor."],
  [/^Draining\.$/, () => "Kapanmak üzere son istekleri bitiriyor."],
  [
    /^Redis answers: /,
    () => "Redis yanıt veriyor: devre kesiciler ve saklanan yanıtlar paylaşılıyor.",
  ],
  [
    /^Redis does not answer: breakers are kept by (the database|each worker)/,
    ([, where]) =>
      `Redis yanıt vermiyor: devre kesicileri ${where === "the database" ? "veritabanı" : "her süreç"}, saklanan yanıtları her süreç kendi tutuyor.`,
  ],
  [/^(\d+) rows wait for the database\.$/, ([, count]) => `${count} satır veritabanını bekliyor.`],
];
