{{/* Secrets and settings of a pod. */}}

{{/* The Secret of the database's URL, and of Redis': given, or the trial's own. */}}
{{- define "switchboard.postgresSecret" -}}
{{- .Values.postgres.existingSecret | default (printf "%s-dev" (include "switchboard.fullname" .)) -}}
{{- end -}}
{{- define "switchboard.redisSecret" -}}
{{- .Values.redis.existingSecret | default (printf "%s-dev" (include "switchboard.fullname" .)) -}}
{{- end -}}

{{/* The secrets that a component reads, as one projected volume. (dict "root" $ "component" "worker") */}}
{{- define "switchboard.secretSources" -}}
{{- $values := .root.Values -}}
- secret:
    name: {{ include "switchboard.postgresSecret" .root }}
    items: [{key: {{ empty $values.postgres.existingSecret | ternary "DATABASE_URL" $values.postgres.secretKey }}, path: database-url}]
{{- if ne .component "migrations" }}
- secret:
    name: {{ include "switchboard.redisSecret" .root }}
    items: [{key: {{ empty $values.redis.existingSecret | ternary "REDIS_URL" $values.redis.secretKey }}, path: redis-url}]
{{- end }}
{{- if eq .component "worker" }}
- secret:
    name: {{ $values.credentialKeys.existingSecret }}
    items: [{key: {{ $values.credentialKeys.secretKey }}, path: credential-keys}]
{{- end }}
{{- with $values.postgres.caSecret }}
- secret:
    name: {{ . }}
    items: [{key: {{ $values.postgres.caSecretKey }}, path: postgres-ca.crt}]
{{- end }}
{{- end -}}

{{/* Variables that point at the mounted secrets. */}}
{{- define "switchboard.secretEnv" -}}
{{- $values := .root.Values -}}
- name: DATABASE_URL_FILE
  value: /etc/switchboard/secrets/database-url
{{- if ne .component "migrations" }}
- name: REDIS_URL_FILE
  value: /etc/switchboard/secrets/redis-url
{{- end }}
{{- if eq .component "worker" }}
- name: CREDENTIAL_KEYS_FILE
  value: /etc/switchboard/secrets/credential-keys
{{- end }}
{{- with $values.postgres.sslMode }}
- name: PGSSLMODE
  value: {{ . }}
{{- end }}
{{- if $values.postgres.caSecret }}
- name: PGSSLROOTCERT
  value: /etc/switchboard/secrets/postgres-ca.crt
{{- end }}
{{- end -}}

{{/* Variables of files/settings.yaml for a component. Whole numbers stay whole (no 1e+06). */}}
{{- define "switchboard.settings" -}}
{{- $values := .root.Values -}}
{{- $component := .component -}}
{{- range (.root.Files.Get "files/settings.yaml" | fromYaml).settings -}}
{{- if has $component (index . "for") -}}
{{- $value := $values -}}
{{- range splitList "." .value }}{{ $value = index $value . }}{{ end -}}
{{- if kindIs "slice" $value }}{{ $value = join "," $value }}{{ end -}}
{{- if kindIs "float64" $value }}{{ if eq $value (floor $value) }}{{ $value = int64 $value }}{{ end }}{{ end -}}
{{- if not (or (eq (toString $value) "") (eq (toString $value) "false")) }}
- name: {{ .name }}
  value: {{ toString $value | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether a component reads zone data from a volume. */}}
{{- define "switchboard.zoneData" -}}
{{- if and .root.Values.zoneData.volume (has .component (list "api" "worker" "scheduler")) }}yes{{ end -}}
{{- end -}}

{{/* All variables of a component: secrets, settings, its own (`env`), and the operator's. (dict "root" $ "component" "api" "env" "…") */}}
{{- define "switchboard.env" -}}
{{ include "switchboard.secretEnv" . }}
{{- include "switchboard.settings" . }}
{{- if include "switchboard.zoneData" . }}
- name: TZDIR
  value: /etc/switchboard/zoneinfo
{{- end }}
{{- with .env }}
{{ . }}
{{- end }}
{{- end -}}

{{/* Connections to Postgres that all pods may hold at most, with one more pod of each while a rollout goes on (docs/operate.md, Capacity). */}}
{{- define "switchboard.connections" -}}
{{- $api := ternary .Values.api.autoscaling.maxReplicas .Values.api.replicas .Values.api.autoscaling.enabled | int -}}
{{- $workers := ternary .Values.worker.autoscaling.maxReplicas .Values.worker.replicas .Values.worker.autoscaling.enabled | int -}}
{{- add (mul (add $api 1) (int .Values.api.databaseConnections)) (mul (add $workers 1) (int .Values.worker.databaseConnections)) (mul (add (int .Values.scheduler.replicas) 1) (int .Values.scheduler.databaseConnections)) -}}
{{- end -}}
