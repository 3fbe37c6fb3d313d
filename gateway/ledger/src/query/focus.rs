//! Answers as FOCUS 1.2, the FinOps Open Cost and Usage Specification, for tools that read cloud bills.
//!
//! A line is what one tenant spent for one operation at one provider on one model in one hour or day. The billing account is
//! the tenant at the top, the sub account the tenant itself. FOCUS has no null for a cost, so the attempts without a price
//! are in a column of our own: where it is not zero, the cost is not the whole of it.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::export::{ExportError, Table, harmless, time, usd};
use super::{Answer, Bucket, Dimension, Line, Question};
use crate::sink::schema::{DAY_US, HOUR_US};

/// What a question for FOCUS must be by.
const BY: [Dimension; 4] = [
    Dimension::Tenant,
    Dimension::Operation,
    Dimension::Provider,
    Dimension::Model,
];

const COLUMNS: &[&str] = &[
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_UnpricedAttempts",
];

/// The question whose answer can leave as FOCUS: as it is, by what FOCUS wants to know.
pub fn question_for_focus(question: &Question) -> Question {
    Question {
        by: BY.to_vec(),
        bucket: Some(question.bucket.unwrap_or(Bucket::Day)),
        ..question.clone()
    }
}

/// The answer to [`question_for_focus`] as CSV of FOCUS 1.2; lines of other questions are left out.
pub fn to_focus_csv(answer: &Answer, bucket: Bucket) -> Result<String, ExportError> {
    let mut table = Table::new(COLUMNS)?;
    for line in &answer.lines {
        if let (Some(at_us), [tenant, operation, provider, model]) = (line.time_us, line.names.as_slice()) {
            table.line(fields(line, bucket, at_us, [tenant, operation, provider, model]).into_iter())?;
        }
    }
    table.into_text()
}

fn fields(line: &Line, bucket: Bucket, at_us: i64, [tenant, operation, provider, model]: [&String; 4]) -> Vec<String> {
    let length = match bucket {
        Bucket::Hour => HOUR_US,
        Bucket::Day => DAY_US,
    };
    let (month, next_month) = months(at_us);
    let account = tenant.split('/').next().unwrap_or_default();
    let cost = usd(line.sums.cost);
    let tokens = line
        .sums
        .prompt_tokens
        .saturating_add(line.sums.completion_tokens)
        .to_string();
    let tags = serde_json::json!({ "operation": operation }).to_string();
    vec![
        cost.clone(),
        harmless(account),
        harmless(account),
        "USD".to_owned(),
        next_month,
        month,
        "Usage".to_owned(),
        String::new(),
        harmless(&format!("{model} at {provider}")),
        "Usage-Based".to_owned(),
        time(at_us.saturating_add(length)),
        time(at_us),
        tokens.clone(),
        "Tokens".to_owned(),
        cost.clone(),
        cost.clone(),
        harmless(provider),
        cost,
        "Standard".to_owned(),
        tokens,
        "Tokens".to_owned(),
        harmless(provider),
        harmless(provider),
        "AI and Machine Learning".to_owned(),
        harmless(provider),
        "Generative AI".to_owned(),
        harmless(model),
        harmless(tenant),
        harmless(tenant),
        tags,
        line.sums.unpriced.to_string(),
    ]
}

/// The starts of a time's month and of the next one, in UTC.
fn months(at_us: i64) -> (String, String) {
    let Ok(at) = Timestamp::from_microsecond(at_us) else {
        return (String::new(), String::new());
    };
    let first = at.to_zoned(TimeZone::UTC).date().first_of_month();
    let next = first.last_of_month().tomorrow();
    let text = |date: jiff::civil::Date| date.strftime("%Y-%m-%dT00:00:00Z").to_string();
    (text(first), next.map(text).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Sums;
    use tokenweir_config::money::NanoUsd;

    #[test]
    fn a_line_of_focus_has_every_column_and_the_exact_cost() {
        let answer = Answer {
            from_us: 0,
            to_us: 1,
            by: BY.to_vec(),
            lines: vec![Line {
                time_us: Some(1_796_083_200_000_000),
                names: ["acme/search", "summarise, \"all\"", "openai", "gpt-5"]
                    .map(str::to_owned)
                    .to_vec(),
                sums: Sums {
                    prompt_tokens: 100,
                    completion_tokens: 20,
                    unpriced: 3,
                    cost: NanoUsd::new(1_234_567),
                    ..Sums::default()
                },
            }],
            cut: false,
        };
        let text = to_focus_csv(&answer, Bucket::Hour).unwrap();
        let mut lines = text.lines();
        assert_eq!(lines.next().unwrap().split(',').count(), COLUMNS.len());
        assert_eq!(
            lines.next().unwrap(),
            "0.001234567,acme,acme,USD,2027-01-01T00:00:00Z,2026-12-01T00:00:00Z,Usage,,gpt-5 at openai,Usage-Based,\
             2026-12-01T01:00:00Z,2026-12-01T00:00:00Z,120,Tokens,0.001234567,0.001234567,openai,0.001234567,Standard,120,\
             Tokens,openai,openai,AI and Machine Learning,openai,Generative AI,gpt-5,acme/search,acme/search,\
             \"{\"\"operation\"\":\"\"summarise, \\\"\"all\\\"\"\"\"}\",3"
        );
        assert_eq!(lines.next(), None);
    }
}
