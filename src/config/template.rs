//! Templates of the gateway's pages: HTML with Jinja placeholders, read once and filled in for each page.
//!
//! `{{ sentence }}` is a text, escaped wherever it stands and whatever is done to it; `{% if hint %} … {% endif %}` and
//! `{% for link in links %} … {% endfor %}` are all that most pages need. Nothing outside the file can be reached, and the work
//! is bounded. A name that is not known is refused rather than left empty, and so are scripts, which the policy of the pages
//! does not let run, and placeholders where escaping would not be enough.

use std::fmt::Write as _;

use minijinja::value::Value;
use minijinja::{Environment, Error, Output, State, UndefinedBehavior};

use super::table::{listed, nearest};

/// No template is longer, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Instructions that filling one in may take.
const MAX_WORK: u64 = 20_000;
/// The one template of an environment.
const NAME: &str = "page";

/// One link of a page.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Where it leads.
    pub url: &'a str,
    /// What it says.
    pub text: &'a str,
}

/// What a page says; texts are escaped when they are filled in. Templates name the fields as they are named here.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filling<'a> {
    /// Which page it is: `chooser`, `error`, `logged-out` or `refusal`.
    pub page: &'a str,
    /// The heading.
    pub title: &'a str,
    /// What happened, and what to do.
    pub sentence: &'a str,
    /// More of it.
    pub hint: Option<&'a str>,
    /// What a person tells those whom they ask for help: code, status, reference.
    pub note: Option<&'a str>,
    /// The host of the application.
    pub site: Option<&'a str>,
    /// The status, such as `401`.
    pub status: &'a str,
    /// The code, such as `no_route`.
    pub code: Option<&'a str>,
    /// The number that stands in the log.
    pub reference: Option<&'a str>,
    /// Ways to go on.
    pub links: &'a [Link<'a>],
}

impl Filling<'_> {
    fn fields(&self) -> [(&'static str, Value); 10] {
        let link = |link: &Link<'_>| Value::from_pairs([("url", link.url), ("text", link.text)]);
        [
            ("page", self.page.into()),
            ("title", self.title.into()),
            ("sentence", self.sentence.into()),
            ("hint", self.hint.into()),
            ("note", self.note.into()),
            ("site", self.site.into()),
            ("status", self.status.into()),
            ("code", self.code.into()),
            ("reference", self.reference.into()),
            ("links", self.links.iter().map(link).collect()),
        ]
    }
}

/// A page with all that there can be, to try a template with.
pub const SAMPLE: Filling<'static> = Filling {
    page: "error",
    title: "a-title",
    sentence: "a-sentence",
    hint: Some("a-hint"),
    note: Some("a-note"),
    site: Some("a-site"),
    status: "400",
    code: Some("a-code"),
    reference: Some("a-reference"),
    links: &[Link { url: "/a-url", text: "a-text" }],
};

/// A template that can be filled in.
#[derive(Debug, Clone)]
pub struct Template {
    environment: Environment<'static>,
    styles: Vec<String>,
}

/// What is wrong with a template, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// From 1.
    pub line: usize,
    /// One sentence, no capital, no full stop.
    pub message: String,
    /// The way out.
    pub help: String,
}

impl Template {
    /// Reads a template, and tries it.
    ///
    /// # Errors
    /// The first flaw.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        // As browsers read it, who take the digest of a style from what they have read.
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let styles = styles(&text)?;
        check_attributes(&text)?;
        let mut environment = environment();
        environment.add_template_owned(NAME, text.clone()).map_err(|error| told(&error))?;
        let template = Self { environment, styles };
        template.check_names(&text)?;
        for filling in [SAMPLE, Filling::default()] {
            template.fill(&filling).map_err(|error| told(&error))?;
        }
        Ok(template)
    }

    fn check_names(&self, text: &str) -> Result<(), Flaw> {
        let names = self.environment.get_template(NAME).map_err(|error| told(&error))?.undeclared_variables(false);
        let known = SAMPLE.fields().map(|(name, _)| name);
        let places = names.iter().filter(|name| !known.contains(&name.as_str()));
        let first = places.map(|name| (text.find(name.as_str()).unwrap_or_default(), name)).min();
        let Some((at, name)) = first else { return Ok(()) };
        let help = match nearest(name, &known) {
            Some(right) => format!("did you mean `{right}`?"),
            None => format!("there are {}", listed(&known)),
        };
        Err(flaw(text, at, &format!("there is no placeholder `{name}`"), &help))
    }

    /// What stands in its style elements, which the policy of its pages allows by their digests.
    #[must_use]
    pub fn styles(&self) -> &[String] {
        &self.styles
    }

    /// The page.
    ///
    /// # Errors
    /// When the template does with a value what cannot be done.
    pub fn fill(&self, filling: &Filling<'_>) -> Result<String, Error> {
        self.environment.get_template(NAME)?.render(Value::from_pairs(filling.fields()))
    }
}

/// Where a template finds nothing but what it is given.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(MAX_WORK));
    environment.set_formatter(escape);
    environment
}

/// Text made safe for element content and quoted attributes. What is not there is empty.
fn escape(out: &mut Output<'_>, _state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    if value.is_none() || value.is_undefined() {
        return Ok(());
    }
    for c in value.to_string().chars() {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            plain => out.write_char(plain),
        }?;
    }
    Ok(())
}

fn told(error: &Error) -> Flaw {
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    let help = "placeholders are those of Jinja: {{ title }}, {% if hint %} ... {% endif %}, {% for link in links %} ... {% endfor %}";
    Flaw { line: error.line().unwrap_or(1), message, help: help.to_owned() }
}

fn flaw(text: &str, at: usize, message: &str, help: &str) -> Flaw {
    let line = text[..at].matches('\n').count() + 1;
    Flaw { line, message: message.to_owned(), help: help.to_owned() }
}

/// Without quotes, an escaped value could still begin another attribute.
fn check_attributes(text: &str) -> Result<(), Flaw> {
    match text.find("={{") {
        Some(at) => Err(flaw(text, at, "a placeholder stands in an attribute without quotes", "write =\"{{ ... }}\"")),
        None => Ok(()),
    }
}

/// The content of the style elements.
fn styles(text: &str) -> Result<Vec<String>, Flaw> {
    let lower = text.to_ascii_lowercase();
    if let Some(at) = lower.find("<script") {
        return Err(flaw(text, at, "a script does not run on these pages", "remove it; HTML and CSS are enough"));
    }
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(start) = lower[at..].find("<style").map(|position| at + position) {
        let content = lower[start..].find('>').map(|length| start + length + 1);
        let ends = content.and_then(|content| Some((content, content + lower[content..].find("</style")?)));
        let no_end = || flaw(text, start, "the style element has no end", "it ends with </style>");
        let (content, end) = ends.ok_or_else(no_end)?;
        let style = &text[content..end];
        if let Some(inside) = ["{{", "{%", "{#"].iter().filter_map(|sign| style.find(sign)).min() {
            let help =
                "put what varies outside, as class=\"{{ page }}\" on an element, and a blank between braces of CSS";
            return Err(flaw(text, content + inside, "a placeholder or comment of Jinja stands in a style", help));
        }
        found.push(style.to_owned());
        at = end;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKED: Filling<'_> = Filling {
        page: "chooser",
        title: "<Who> & \"what's\"",
        sentence: "s",
        hint: None,
        note: Some(""),
        site: Some("app.example"),
        status: "200",
        code: None,
        reference: Some("r"),
        links: &[Link { url: "/a?b=\"&c", text: "A" }, Link { url: "/d", text: "{{ title }}" }],
    };

    #[test]
    fn what_is_filled_in_is_escaped_and_stands_where_there_is_something() {
        let cases = [
            ("<h1 title='{{ title }}'>", "<h1 title='&lt;Who&gt; &amp; &quot;what&#39;s&quot;'>"),
            (
                "{% if hint %}<p>{{ hint }}</p>{% endif %}{% if note %}n{% endif %}{% if site %}at {{site}}{% endif %}",
                "at app.example",
            ),
            ("{{hint}}|{{status}}|{{page}}|{{code}}|", "|200|chooser||"),
            (
                "{% for link in links %}<a href=\"{{ link.url }}\">{{ link.text }}</a>{% if reference %} {{ reference }}{% endif %}\n{% endfor %}",
                "<a href=\"/a?b=&quot;&amp;c\">A</a> r\n<a href=\"/d\">{{ title }}</a> r\n",
            ),
            ("{% if page == 'chooser' %}Who?{% else %}No.{% endif %}", "Who?"),
            ("{% autoescape false %}{{ title }}{% endautoescape %}", "&lt;Who&gt; &amp; &quot;what&#39;s&quot;"),
            ("{{ 'h' if hint }}{{ 's' if site }}", "s"),
            ("a { b } }} c{d", "a { b } }} c{d"),
            ("", ""),
        ];
        for (template, page) in cases {
            let template = Template::parse(template).unwrap_or_else(|flaw| panic!("{template}: {flaw:?}"));
            assert_eq!(template.fill(&LINKED).unwrap(), page);
        }
    }

    #[test]
    fn a_flaw_has_its_line_and_a_way_out() {
        let cases = [
            ("a\n{{ titel }}", 2, "no placeholder `titel`", "did you mean `title`?"),
            ("{{ secret }}", 1, "no placeholder `secret`", "there are `page`, `title`"),
            ("{{ }}", 1, "unexpected", "Jinja"),
            ("\n\n{{ title", 3, "unexpected end", "Jinja"),
            ("{% if hint %}\n{{ hint }}", 2, "unexpected end", "{% endif %}"),
            ("{{ title|safe }}", 1, "filter safe is unknown", "Jinja"),
            ("{% for link in links %}\n{{ link.urll }}{% endfor %}", 2, "undefined", "Jinja"),
            ("{% for link in links %}{% if link.blank %}x{% endif %}{% endfor %}", 1, "undefined", "Jinja"),
            // It would do on some pages only.
            ("{{ title + 'x' }}\n{{ hint + 'x' }}", 2, "unsupported", "Jinja"),
            ("{{ link.url }}", 1, "no placeholder `link`", "did you mean `links`?"),
            ("<a href={{title}}>", 1, "without quotes", "=\"{{ ... }}\""),
            ("{{ title / 2 }}", 1, "unsupported", "Jinja"),
            ("{{ 'x' * 1000000000 }}", 1, "fuel", "Jinja"),
            ("{% for a in [1] * 2000 %}{% for b in [1] * 2000 %}{% endfor %}{% endfor %}", 1, "fuel", "Jinja"),
            ("<p>\n<SCRIPT src='x'></SCRIPT>", 2, "script", "remove it"),
            ("<style>\nb{}\n.{{page}}{}</style>", 3, "in a style", "class="),
            ("<style>@media print{#a{}}</style>", 1, "in a style", "a blank between braces"),
            ("<style>b{}", 1, "no end", "</style>"),
        ];
        for (template, line, message, help) in cases {
            let flaw = Template::parse(template).expect_err(template);
            assert_eq!(flaw.line, line, "{template}: {flaw:?}");
            assert!(flaw.message.contains(message) && flaw.help.contains(help), "{template}: {flaw:?}");
        }
    }

    #[test]
    fn styles_are_found_as_browsers_read_them() {
        let template = Template::parse("<style media=x>a{}\r\nb{}</style><p><STYLE>c{}</STYLE >").unwrap();
        assert_eq!(template.styles(), ["a{}\nb{}", "c{}"]);
        assert!(template.fill(&LINKED).unwrap().contains("a{}\nb{}"));
        let old = Template::parse("<style>a{}\rb{}\r\rc{}</style>").unwrap();
        assert_eq!(old.styles(), ["a{}\nb{}\n\nc{}"]);
    }
}
