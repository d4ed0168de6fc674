{{/* How long a stop may take, in seconds. */}}

{{/* What a worker needs: its accounts at the cluster's rate, and 20 s for what is on its way (ARCHITECTURE.md, Placement). */}}
{{- define "switchboard.worker.stopNeeded" -}}
{{- $worker := .Values.worker -}}
{{- $accounts := $worker.accountsWhenStopped | default $worker.capacity | float64 -}}
{{- $rate := $worker.connectsPerS | float64 -}}
{{- if gt $rate 0.0 -}}
{{- add (ceil (divf $accounts $rate)) 20 -}}
{{- else -}}
20
{{- end -}}
{{- end -}}

{{/* STOP_TIMEOUT_S: as set, or what is needed and never below the binary's own default. */}}
{{- define "switchboard.worker.stopTimeout" -}}
{{- .Values.worker.stopTimeoutS | default (max 25 (include "switchboard.worker.stopNeeded" . | int)) | int -}}
{{- end -}}

{{/* Seconds between TERM and the last moment at which a component may still be at work. */}}
{{- define "switchboard.stopTakes" -}}
{{- if eq .component "api" -}}
{{- add .root.Values.api.preStopSleepSeconds 25 -}}
{{- else if eq .component "worker" -}}
{{- include "switchboard.worker.stopTimeout" .root -}}
{{- else -}}
15
{{- end -}}
{{- end -}}

{{/* terminationGracePeriodSeconds: as set, or what a stop takes and a margin of 15 s for the exit. */}}
{{- define "switchboard.grace" -}}
{{- (index .root.Values .component).terminationGracePeriodSeconds | default (add (include "switchboard.stopTakes" . | int) 15) | int -}}
{{- end -}}
