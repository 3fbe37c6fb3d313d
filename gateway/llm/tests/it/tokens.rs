//! How far the estimate of tokens is from a real count.

use tokenweir_llm::tokens::estimate;

/// A text and how many tokens OpenAI's encoding `o200k_base` makes of it.
struct Sample {
    name: &'static str,
    text: &'static str,
    counted: u64,
}

const fn sample(name: &'static str, text: &'static str, counted: u64) -> Sample {
    Sample { name, text, counted }
}

/// Counted with tiktoken-rs 0.12, without the line feed at the end.
const LATIN_AND_CODE: [Sample; 5] = [
    sample("English", include_str!("../samples/en.txt"), 89),
    sample("German", include_str!("../samples/de.txt"), 109),
    sample("French", include_str!("../samples/fr.txt"), 103),
    sample("Rust", include_str!("../samples/code.txt"), 142),
    sample("JSON", include_str!("../samples/json.txt"), 103),
];

const OTHER_SCRIPTS: [Sample; 6] = [
    sample("Arabic", include_str!("../samples/ar.txt"), 117),
    sample("Hindi", include_str!("../samples/hi.txt"), 104),
    sample("Japanese", include_str!("../samples/ja.txt"), 171),
    sample("Korean", include_str!("../samples/ko.txt"), 128),
    sample("Russian", include_str!("../samples/ru.txt"), 119),
    sample("Chinese", include_str!("../samples/zh.txt"), 167),
];

const RANDOM: [Sample; 1] = [sample("base64", include_str!("../samples/base64.txt"), 280)];

fn hold(samples: &[Sample], least: f64, most: f64) {
    for Sample { name, text, counted } in samples {
        let ratio = estimate(text.trim_end()) as f64 / *counted as f64;
        assert!((least..=most).contains(&ratio), "{name}: {ratio:.2}");
    }
}

#[test]
fn the_estimate_is_as_far_from_a_real_count_as_its_module_says() {
    hold(&LATIN_AND_CODE, 0.9, 1.25);
    hold(&OTHER_SCRIPTS, 1.0, 1.6);
    hold(&RANDOM, 0.5, 0.6);
}
