-- A small application for several tenants: two tables with a tenant column, one that reaches its tenant through a parent,
-- one that everybody shares.
CREATE TABLE public.countries (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.tenants (id integer PRIMARY KEY, name text NOT NULL);
CREATE TABLE public.users (
    id bigserial PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES public.tenants,
    mail text NOT NULL,
    country text REFERENCES public.countries,
    UNIQUE (tenant_id, mail)
);
CREATE TABLE public.patients (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id integer NOT NULL REFERENCES public.tenants,
    name text NOT NULL,
    search text GENERATED ALWAYS AS (lower(name)) STORED,
    note text
);
CREATE TABLE public.appointments (
    id bigserial PRIMARY KEY,
    patient_id bigint NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    at timestamptz NOT NULL
);
INSERT INTO public.countries VALUES ('de', 'Deutschland'), ('fr', 'France');
INSERT INTO public.tenants VALUES (1, 'North'), (42, 'Café Süd'), (43, 'East');
INSERT INTO public.users (tenant_id, mail, country)
    SELECT (ARRAY[1, 42, 43])[1 + n % 3], 'u' || n || '@example.org', 'de' FROM generate_series(1, 30) n;
INSERT INTO public.patients (tenant_id, name, note)
    SELECT (ARRAY[1, 42, 43])[1 + n % 3], 'Patient ' || n, CASE n % 2 WHEN 0 THEN E'tab\tline\nback\\slash "quote"' END
    FROM generate_series(1, 300) n;
INSERT INTO public.appointments (patient_id, at) SELECT id, '2024-01-01'::timestamptz + id * interval '1 hour' FROM public.patients ORDER BY id;
