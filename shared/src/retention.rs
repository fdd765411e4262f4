//! Which backups are kept, and why.

/// The five windows and the size limit of `spatie/laravel-backup`'s default strategy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// `BACKUP_KEEP_ALL_DAYS`.
    pub keep_all_days: u32,
    /// `BACKUP_KEEP_DAILY_DAYS`.
    pub keep_daily_days: u32,
    /// `BACKUP_KEEP_WEEKLY_WEEKS`.
    pub keep_weekly_weeks: u32,
    /// `BACKUP_KEEP_MONTHLY_MONTHS`.
    pub keep_monthly_months: u32,
    /// `BACKUP_KEEP_YEARLY_YEARS`.
    pub keep_yearly_years: u32,
    /// `BACKUP_DELETE_OLDEST_OVER_MB`, in MiB; `None` = no limit.
    pub delete_oldest_over_mb: Option<u64>,
}

impl Default for Policy {
    /// All for 7 days, then daily for 30 days, weekly for 12 weeks, monthly for 12 months, yearly for 7 years.
    fn default() -> Self {
        Self {
            keep_all_days: 7,
            keep_daily_days: 30,
            keep_weekly_weeks: 12,
            keep_monthly_months: 12,
            keep_yearly_years: 7,
            delete_oldest_over_mb: None,
        }
    }
}
