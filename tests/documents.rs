//! Links and excerpts of the documents.

use std::{fs, path::Path};

const DOCUMENTS: [&str; 13] = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/api-gateway-custom-domain.md",
    "docs/architecture.md",
    "docs/benchmarks.md",
    "docs/deploy.md",
    "docs/gateway.md",
    "docs/layers.md",
    "docs/testing.md",
    "docs/security.md",
    "docs/signature-does-not-match.md",
];

/// Sections of `docs/deploy.md` that explain settings; the others are recipes.
const EXPLANATIONS: [&str; 3] = ["Configuration and secrets", "The admin port", "Limits"];

/// Returns text and target of the links in a document to other files of the repository.
fn links(document: &str) -> Vec<(&str, &str)> {
    let ends = document.match_indices("](").filter_map(|(at, _)| {
        let text = document[..at].rsplit('[').next()?;
        let target = document[at + 2..].split(')').next()?;
        Some((text, target.split('#').next().unwrap_or_default()))
    });
    ends.filter(|(_, target)| !target.is_empty() && !target.contains("://"))
        .collect()
}

fn has_test(source: &str, name: &str) -> bool {
    let Some((before, _)) = source.split_once(&format!("fn {name}()")) else {
        return false;
    };
    let lines = before
        .trim_end_matches("async ")
        .lines()
        .rev()
        .map(str::trim);
    let attributes = lines.skip_while(|line| line.is_empty());
    attributes
        .take_while(|line| line.starts_with("#["))
        .any(|line| line.contains("test"))
}

#[test]
fn readme_shows_the_gateway_of_the_examples() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect(name);
    let trimmed = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```rs\n").expect("a gateway");
    let (shown, _) = rest.split_once("```").expect("an end");
    let example = trimmed(&read("examples/gateway/src/main.rs"));
    assert!(example.contains(&trimmed(shown)), "{shown}");
}

#[test]
fn recipes_state_their_tested_and_untested_parts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = fs::read_to_string(root.join("docs/deploy.md")).expect("docs/deploy.md");
    let sections = document.split("\n## ").skip(1);
    let sections = sections.filter_map(|section| section.split_once('\n'));
    let mut recipes = 0;
    for (title, text) in sections.filter(|(title, _)| !EXPLANATIONS.contains(title)) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in ["**Tested**", "Not tested: "] {
            assert!(text.contains(words), "{title}: no {words}");
        }
        recipes += 1;
    }
    assert!(recipes > 10, "{recipes} recipes");
}

#[test]
fn linked_files_and_tests_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut files, mut tests) = (0, 0);
    for name in DOCUMENTS {
        let path = root.join(name);
        let document = fs::read_to_string(&path).expect(name);
        for (text, target) in links(&document) {
            let path = path.parent().expect("a folder").join(target);
            assert!(path.exists(), "{name}: {target}");
            files += 1;
            // A link text in backticks that is not the file name is the name of a test.
            let code = text
                .strip_prefix('`')
                .and_then(|text| text.strip_suffix('`'));
            let test = code.filter(|code| code.contains('_') && !code.contains(['.', '/']));
            if let Some(test) = test.filter(|_| target.ends_with(".rs")) {
                let source = fs::read_to_string(&path).expect(target);
                assert!(
                    has_test(&source, test),
                    "{name}: {target} has no test {test}"
                );
                tests += 1;
            }
        }
    }
    assert!(files > 100 && tests > 80, "{files} files, {tests} tests");
}
